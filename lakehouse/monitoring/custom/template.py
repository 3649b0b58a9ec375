"""The templates of custom metrics: names filled in by Jinja's sandbox."""

from collections.abc import Collection, Mapping

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import SandboxedEnvironment

_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name),
    *(
        nodes.If,
        nodes.CondExpr,
        nodes.Compare,
        nodes.Operand,
        nodes.Const,
        nodes.And,
        nodes.Or,
        nodes.Not,
    ),
)


class Refusal(Exception):  # noqa: N818 - caught in this package, where it becomes a sentence of one
    """Why a metric cannot be: the rest of a sentence that begins with the metric's name.

    Attributes:
        key: the setting that is wrong.
    """

    def __init__(self, why: str, key: str = "definition") -> None:
        """The reason, and the setting that is wrong."""
        super().__init__(why)
        self.key = key


def rendered(template: str, names: Mapping[str, str]) -> str:
    """The template with the names filled in; besides names it may hold only conditions.

    Raises:
        Refusal: it is no template, or uses anything but these names and conditions.
    """
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    # Jinja brings functions such as `range`, which a definition has no use for.
    environment.globals.clear()
    hint = (
        f"the names to write there are: {', '.join(f'{{{{{name}}}}}' for name in names) or 'none'}"
    )
    try:
        strange = _strange_in(environment.parse(template), names)
        if strange:
            raise Refusal(f"has {strange} in its template; {hint}")
        return environment.from_string(template).render(names)
    except TemplateError as error:
        raise Refusal(
            f"is no Jinja template: {(error.message or '').rstrip('.')}; {hint}"
        ) from error


def _strange_in(tree: nodes.Node, names: Collection[str]) -> str | None:
    """Return what else the template holds: a loop might not end, a call could reach anything."""
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            return f"more than names ({type(node).__name__.lower()})"
        if isinstance(node, nodes.Name) and node.name not in names:
            return f"{{{{{node.name}}}}}"
    return None
