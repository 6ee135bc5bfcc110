"""Which folders hold the packages: what pyproject.toml cannot say without a list that somebody forgets to extend.

pybpf stands at the root, epicsmon under src/, and programs/ is installed as epicsmon.programs.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(".", include=["pybpf", "pybpf.*"]),
        *find_packages("src"),
        "epicsmon.programs",
        *(f"epicsmon.programs.{name}" for name in find_packages("programs")),
    ],
    package_dir={"": "src", "pybpf": "pybpf", "epicsmon.programs": "programs"},
)
