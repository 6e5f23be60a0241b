"""Start MLflow's UI and print the address of the view that compares policies: `make ui`.

python -m pipeline.tracking.ui [--host 127.0.0.1] [--port 5000]
"""

import argparse
import os
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.tracking.experiments import policies_experiment
from pipeline.tracking.project_store import project_store
from pipeline.tracking.store_address import masked, store_uri
from pipeline.tracking.view import address


def main() -> None:
    """Replace this process by MLflow's server; if runs go to a server already, print its address instead."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tracking.ui",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    arguments = parser.parse_args()
    set_environment()
    root = Path.cwd()
    try:
        uri = store_uri(root)
        experiment = policies_experiment(load_params(root / "params.yaml").tracking.experiment)
        identity = project_store(root).experiment(experiment.name, experiment.tags)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    if uri.startswith(("http://", "https://")):
        print(f"runs go to a server of their own: {masked(address(uri.rstrip('/'), identity))}")
        return
    print(f"policies side by side: {address(f'http://{arguments.host}:{arguments.port}', identity)}")
    print("(the server answers after some seconds; Ctrl-C ends it)", flush=True)
    # four workers and the runners of its jobs, which judge traces, would take 3 GB and half a minute to start
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = ["ui", "--host", arguments.host, "--port", str(arguments.port), "--workers", "1"]
    server += ["--backend-store-uri", uri]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *server])


if __name__ == "__main__":
    main()
