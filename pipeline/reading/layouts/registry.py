"""All layouts by their names in `data.format`."""

from pipeline.reading.layouts.auto_j import AUTO_J
from pipeline.reading.layouts.helpsteer import HELPSTEER2, HELPSTEER3, HELPSTEER_RATINGS
from pipeline.reading.layouts.judge_bench import JUDGE_BENCH
from pipeline.reading.layouts.label_studio import LABEL_STUDIO
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.layouts.lmsys import LMSYS
from pipeline.reading.layouts.messages_pairs import MESSAGES_PAIRS
from pipeline.reading.layouts.ms_swift import MS_SWIFT, MS_SWIFT_QUERY
from pipeline.reading.layouts.nectar import NECTAR
from pipeline.reading.layouts.openai import OPENAI
from pipeline.reading.layouts.pku_saferlhf import PKU_SAFERLHF
from pipeline.reading.layouts.pos_neg import POS_NEG
from pipeline.reading.layouts.rm_bench import RM_BENCH
from pipeline.reading.layouts.shp import SHP
from pipeline.reading.layouts.stack_exchange import STACK_EXCHANGE_PAIRED, STACK_EXCHANGE_PREFERENCES
from pipeline.reading.layouts.summarize import SUMMARIZE
from pipeline.reading.layouts.system_pairs import SYSTEM_PAIRS
from pipeline.reading.layouts.ultrafeedback import DISTILABEL, ULTRAFEEDBACK
from pipeline.reading.layouts.webgpt import WEBGPT

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        OPENAI,
        PKU_SAFERLHF,
        AUTO_J,
        WEBGPT,
        SHP,
        HELPSTEER_RATINGS,
        HELPSTEER2,
        HELPSTEER3,
        NECTAR,
        STACK_EXCHANGE_PREFERENCES,
        STACK_EXCHANGE_PAIRED,
        JUDGE_BENCH,
        RM_BENCH,
        SUMMARIZE,
        MS_SWIFT,
        MESSAGES_PAIRS,
        SYSTEM_PAIRS,
        MS_SWIFT_QUERY,
        LMSYS,
        ULTRAFEEDBACK,
        DISTILABEL,
        POS_NEG,
        LABEL_STUDIO,
    )
}
