"""Packaging: `pip install .`, or `make wheel` for `spark-submit --py-files`."""

from setuptools import find_packages, setup

RUNTIME = [
    "datasketches>=5.2,<6",
    "delta-spark==4.4.0",
    "deltalake>=1.6,<2",
    "duckdb>=1.4.4,<1.5",
    "jinja2>=3.1,<4",
    "markupsafe>=3,<4",
    "matplotlib>=3.10,<4",
    "mlflow>=3.17,<4",
    "numpy>=2.1,<3",
    "orjson>=3.11,<4",
    "pandas>=2.3,<3",
    "prometheus-client==0.26.0",
    "pyarrow>=18,<26",
    "pydantic>=2.10,<3",
    "pyspark==4.2.0",
    "pyyaml>=6,<7",
    "scikit-learn>=1.9,<1.10",
    "scipy>=1.15,<2",
    "skops>=0.16,<0.17",
    "sqlglot>=30,<31",
    "starlette>=1.10,<2",
    "threadpoolctl>=3.6,<4",
    "tqdm>=4.66,<5",
    "tzdata>=2025.2",
    "uvicorn>=0.54,<1",
]
# Alerts to the receivers that no channel of `alerts:` names: `kind: apprise` (docs/alerts.md).
OTHER_RECEIVERS = ["apprise>=2.3,<3"]
# Streams of other rules than boxes, to compare policies on: `make policy FAMILIES=all`.
OTHER_STREAMS = ["river>=0.26,<0.27"]
# Compiles the trees of a model (docs/decisions/0020): large batches are scored in less time.
FAST = ["numba>=0.68.1,<0.69"]
# Models for the edge, and the check that they answer the same: `jobs/export.py`.
EXPORT = ["onnx>=1.23,<2", "onnxruntime>=1.32,<2"]
# Tests, lint, types, import contracts and the readers that tests compare with: `make test`.
DEVELOPMENT = [
    *EXPORT,
    *OTHER_RECEIVERS,
    *OTHER_STREAMS,
    *FAST,
    "chispa>=0.12,<1",
    "duckdb-ext[delta]>=0.1.2,<0.2",
    "hypothesis>=6.140,<7",
    "import-linter>=2.5,<3",
    "impyla>=0.24,<0.25",
    "mypy>=2,<3",
    "polars>=2.1,<3",
    "pytest>=9,<10",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.14,<1",
    "setuptools>=77,<90",
    "types-PyYAML",
]

setup(
    name="glassware-lakehouse",
    version="0.2.0",
    description="A self-retraining lakehouse on Spark Structured Streaming, Delta Lake and MLflow",
    packages=find_packages(include=["lakehouse", "lakehouse.*"]),
    package_data={
        "lakehouse.sql": ["java/*.java"],
        "lakehouse.dashboard": ["static/*"],
        "lakehouse.explore": ["static/*"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=RUNTIME,
    extras_require={
        "apprise": OTHER_RECEIVERS,
        "streams": OTHER_STREAMS,
        "fast": FAST,
        "export": EXPORT,
        "dev": DEVELOPMENT,
    },
)
