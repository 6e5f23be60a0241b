"""The provenance of a model as an in-toto statement, which supply-chain tools read.

Formats: https://in-toto.io/Statement/v1 with the predicate https://slsa.dev/provenance/v1. It holds only what is a
function of inputs and parameters, so that a rebuild gives the same bytes: no time, host, commit or run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.release.folder import sha256


def provenance_statement(
    files: Sequence[Path], *, stage: str, params: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """What was built (sha256 of each file), by which stage, with which parameters, from what.

    Args:
        files: of the model's folder.
        stage: of dvc.yaml that wrote them.
        params: values by dotted key of params.yaml.
        inputs: DVC's content hashes (md5) by path relative to the project: data, starting weights and code.
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": sha256(file)}} for file in files],
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
