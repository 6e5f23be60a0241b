"""The whole check: sources, models and judge, then the rows and pairs, then lengths and memory."""

from pathlib import Path

from pipeline.check.engine import check_engine
from pipeline.check.findings import Findings
from pipeline.check.judges import check_judge
from pipeline.check.lengths import check_lengths
from pipeline.check.memory import check_memory
from pipeline.check.models import check_models
from pipeline.check.pairs import check_pairs
from pipeline.check.reward_chats import check_reward_chats
from pipeline.check.settings import Settings
from pipeline.check.sft import check_sft
from pipeline.check.sizes import check_sizes
from pipeline.check.sources import check_sources, read_data
from pipeline.project.cache_links import check_cache
from pipeline.project.home import project_home


def check_project(settings: Settings, root: Path, scratch: Path) -> Findings:
    """Look at everything that can be known before a model is trained.

    Args:
        settings: the parameters of the run.
        root: the folder of the project.
        scratch: a folder for the policy's tokenizer.
    """
    findings = Findings()
    with findings.collecting():
        check_cache(root, project_home(root))
    intake = check_sources(settings, findings)
    readers = check_models(settings, findings, scratch)
    check_judge(settings, findings)
    check_engine(settings, findings)
    if intake is None or readers is None:
        return findings
    data = read_data(intake, readers.folder, settings, findings)
    if data is not None:
        check_sft(data, settings, findings)
        check_reward_chats(data, readers, settings, findings)
        enough = not data.lossy and check_sizes(data, settings, findings)
        pairs = check_pairs(data, readers, settings, findings, counted=enough)
        check_lengths(data, pairs, readers, settings, findings)
        check_memory(data, pairs, readers, settings, findings)
    return findings
