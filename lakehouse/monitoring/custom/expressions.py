"""The SQL of custom metrics, parsed and taken apart; `analysis` asks Spark about it."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError
from sqlglot.generators.spark import SparkGenerator
from sqlglot.parsers.spark import SparkParser

from lakehouse.monitoring.custom.functions import ADDITIVE, FORBIDDEN, NOT_ADDITIVE
from lakehouse.monitoring.custom.template import Refusal

AGGREGATES = (
    "aggregates, but only metrics of type aggregate read rows; write it in terms of metrics"
)
_NUMBER_TYPES = re.compile(r"tinyint|smallint|int|bigint|float|double|boolean|decimal\(\d+,\d+\)")
_SUFFIXES = {"L": "BIGINT", "S": "SMALLINT", "Y": "TINYINT", "D": "DOUBLE", "F": "FLOAT"}


class _Dialect(Spark):
    """Spark's SQL that keeps each function's written name, since sqlglot would rename some."""

    class Parser(SparkParser):
        FUNCTIONS = {}  # noqa: RUF012 - how sqlglot declares a dialect
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parse
            for name, parse in SparkParser.FUNCTION_PARSERS.items()
            if name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "OVERLAY")
        }
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012 - any(x) is an aggregate
            name: parse
            for name, parse in SparkParser.NO_PAREN_FUNCTION_PARSERS.items()
            if name in ("CASE", "IF")
        }

    class Generator(SparkGenerator):
        def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
            # DATE '2024-02-29' stays a literal: as a cast it would be something else to Spark.
            if type(expression) is exp.Cast and isinstance(expression.this, exp.Literal):
                return f"{self.sql(expression, 'to')} {self.sql(expression, 'this')}"
            return super().cast_sql(expression, safe_prefix)

        def not_sql(self, expression: exp.Not) -> str:
            test = expression.this
            if isinstance(test, exp.Is) and isinstance(test.expression, exp.Null):
                return f"{self.sql(test, 'this')} IS NOT NULL"
            return super().not_sql(expression)


@dataclass(frozen=True)
class Parts:
    """An aggregate expression, taken apart.

    Attributes:
        partials: SQL of an additive aggregate over rows, by the name of its value.
        final: the SQL that makes the metric of those values, under their names.
        scalars: the SQL that is computed for each row: what is aggregated, and which rows are.
    """

    partials: dict[str, str]
    final: str
    scalars: tuple[str, ...] = ()


def normalized(text: str) -> str:
    """The same SQL with 1.5D and 2L written as casts, since a parser forgets the suffixes."""
    try:
        tokens = sqlglot.tokenize(text, dialect=_Dialect)
    except SqlglotError:
        return text  # Spark will say what is wrong with it
    for number, sign in reversed(list(pairwise(tokens))):
        # The tokenizer makes a number, `::` and a type of that one word.
        if (
            number.token_type == TokenType.NUMBER
            and sign.token_type == TokenType.DCOLON
            and sign.start == number.start
        ):
            suffix = _SUFFIXES.get(text[number.start + len(number.text) : number.end + 1].upper())
            if suffix:
                text = (
                    f"{text[: number.start]}CAST({number.text} AS {suffix}){text[number.end + 1 :]}"
                )
    return text


def parsed(text: str) -> exp.Expr | None:
    """The expression's tree; None if it is none, or one that cannot be taken apart.

    Raises:
        Refusal: it nests too deeply for any parser.
    """
    try:
        return sqlglot.parse_one(text, dialect=_Dialect, into=exp.Condition)
    except SqlglotError:
        return None
    except RecursionError as error:
        raise Refusal("nests too deeply; write it flatter") from error


def sql_of(tree: exp.Expr) -> str:
    """The tree as Spark's SQL."""
    return tree.sql(_Dialect, comments=False)


def columns_read(tree: exp.Expr) -> set[tuple[str, ...]]:
    """The columns that the expression names, with their dotted fields, in lower case."""
    return {
        tuple(part.name.lower() for part in column.parts) for column in tree.find_all(exp.Column)
    }


def check_shape(tree: exp.Expr, columns: Collection[str], aggregates: bool) -> None:
    """Check what Spark would let pass.

    Args:
        tree: of the definition.
        columns: names; Spark takes a bare `user` for a function if no column has that name.
        aggregates: whether it may aggregate.

    Raises:
        Refusal: a subquery, a window function, or a function that the metric may not use.
    """
    if tree.find(exp.Query):
        raise Refusal("has a subquery; write one column expression over the columns alone")
    if tree.find(exp.Window):
        raise Refusal(
            "has a window function; write an aggregate, or a drift metric to compare with the "
            "window before"
        )
    called = set(_called(tree, columns))
    for name, why in FORBIDDEN.items():
        if name in called:
            raise Refusal(f"uses {name}, which {why}")
    if not aggregates and called & (ADDITIVE.keys() | NOT_ADDITIVE.keys()):
        raise Refusal(AGGREGATES)
    for name in sorted(called & NOT_ADDITIVE.keys()):
        raise Refusal(f"uses {name}, which cannot be summed from hours; {NOT_ADDITIVE[name]}")
    if tree.find(exp.Distinct):
        instead = NOT_ADDITIVE["count_distinct"]
        raise Refusal(f"aggregates DISTINCT values, which cannot be summed from hours; {instead}")


def _called(tree: exp.Expr, columns: Collection[str]) -> list[str]:
    """Name of the functions called; of Spark's that go without brackets, too."""
    calls = [
        f"{node.name}()"
        if node.name.lower() == "unix_timestamp" and not node.expressions
        else node.name
        for node in tree.find_all(exp.Anonymous)
    ]
    others = [
        node.sql_name() for node in tree.find_all(exp.Func) if not isinstance(node, exp.Anonymous)
    ]
    bare = [
        node.name
        for node in tree.find_all(exp.Column)
        if len(node.parts) == 1 and node.name.lower() not in columns
    ]
    return [name.lower() for name in (*calls, *others, *bare)]


def aggregates_in(tree: exp.Expr) -> list[exp.Expr]:
    """The calls of additive aggregate functions, each with its FILTER, depth first."""
    calls = [
        node for node in tree.find_all(exp.Anonymous, bfs=False) if node.name.lower() in ADDITIVE
    ]
    return [call.parent if isinstance(call.parent, exp.Filter) else call for call in calls]


def taken_apart(
    tree: exp.Expr,
    types: Sequence[str],
    name_of: Callable[[int, str], str],
    integers: Collection[str],
) -> Parts:
    """The additive partials of an aggregate expression, and the expression over them.

    Args:
        tree: of the definition.
        types: Spark's types of `aggregates_in(tree)`.
        name_of: names a partial by its number and by how two of its values merge.
        integers: columns of 32 bits and less; as 64 bits, their squares do not overflow.

    Raises:
        Refusal: an aggregate's value is no number and no boolean.
    """
    tree = exp.Paren(this=tree.copy())
    _forgive(tree)
    partials: dict[str, str] = {}
    scalars: list[str] = []
    for whole, kind in zip(aggregates_in(tree), types, strict=True):
        if not _NUMBER_TYPES.fullmatch(kind):
            raise Refusal(
                f"keeps a {kind} from {sql_of(whole)}; write a number, such as "
                "max(unix_timestamp(x))"
            )
        call = whole.this if isinstance(whole, exp.Filter) else whole
        names = []
        for function, merge in ADDITIVE[call.name.lower()]:
            names.append(name_of(len(partials), merge))
            partial = _partial(whole, function, integers)
            partials[names[-1]] = sql_of(partial)
            scalars += map(sql_of, _scalars(partial))
        value = " / ".join(f"`{name}`" for name in names)
        final = parsed(f"TRY_CAST({value} AS {kind})")
        assert final is not None
        _forgive(final)
        whole.replace(final)
    return Parts(partials, sql_of(tree), tuple(dict.fromkeys(scalars)))


def forgiving(tree: exp.Expr) -> str:
    """The SQL with NULL where Spark would raise: division by zero, or a failed cast."""
    tree = exp.Paren(this=tree.copy())
    _forgive(tree)
    return sql_of(tree)


def _partial(whole: exp.Expr, function: str, integers: Collection[str]) -> exp.Expr:
    whole = whole.copy()
    call = whole.this if isinstance(whole, exp.Filter) else whole
    aggregate = call.name.lower()
    call.set("this", function)
    for product in list(whole.find_all(exp.Mul)):
        for side in (product.this, product.expression):
            if (
                isinstance(side, exp.Column)
                and len(side.parts) == 1
                and side.name.lower() in integers
            ):
                side.replace(exp.Anonymous(this="BIGINT", expressions=[side.copy()]))
    # A sum of doubles cannot overflow, as one of longs or decimals can.
    if aggregate in ("sum", "avg", "mean"):
        double = exp.DataType.build("double")
        call.set("expressions", [exp.TryCast(this=call.expressions[0], to=double, safe=True)])
    return whole


def _scalars(partial: exp.Expr) -> list[exp.Expr]:
    """Return what a partial aggregates, and the condition of its FILTER."""
    conditions = [partial.expression.this] if isinstance(partial, exp.Filter) else []
    call = partial.this if isinstance(partial, exp.Filter) else partial
    return [
        scalar for scalar in (*call.expressions, *conditions) if not isinstance(scalar, exp.Star)
    ]


def _forgive(tree: exp.Expr) -> None:
    """Changes the tree in place: a divisor may itself divide."""
    for node in list(tree.walk()):
        if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
            node.set("expression", _or_null(node.expression))
        elif (
            isinstance(node, exp.Anonymous)
            and node.name.lower() in ("mod", "pmod")
            and len(node.expressions) == 2
        ):
            node.set("expressions", [node.expressions[0], _or_null(node.expressions[1])])
        elif isinstance(node, exp.TryCast):
            node.set("safe", True)


def _or_null(divisor: exp.Expr) -> exp.Expr:
    if isinstance(divisor, exp.Literal) and divisor.is_number and float(divisor.this):
        return divisor
    return exp.Anonymous(this="NULLIF", expressions=[divisor, exp.Literal.number(0)])
