"""The provenance of a model as an in-toto statement, which supply-chain tools read.

Formats: https://in-toto.io/Statement/v1 with the predicate https://slsa.dev/provenance/v1. It holds only what is a
function of inputs and parameters, so that a rebuild gives the same bytes: no time, host, commit or run.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.params.dotted import DottedParams


def provenance_statement(
    digests: Mapping[str, str], *, stage: str, params: DottedParams, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """The statement of what was built, by which stage, with which parameters, from which inputs.

    Args:
        digests: sha256 of the folder's files by name.
        stage: the stage of dvc.yaml that wrote them.
        params: values by dotted key of params.yaml.
        inputs: DVC's content hashes (md5) by path relative to the project: data, starting weights and code.
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://dvc.org/doc/user-guide/project-structure/dvcyaml-files",
                "externalParameters": {"stage": stage, "params": dict(params)},
                "resolvedDependencies": [
                    {"uri": path, "digest": {"dvcMd5": digest}} for path, digest in sorted(inputs.items())
                ],
            },
            "runDetails": {"builder": {"id": "https://dvc.org/doc/command-reference/repro"}},
        },
    }
