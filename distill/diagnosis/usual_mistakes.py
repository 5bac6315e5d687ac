"""The table of rules for single datasets. A new one is a file `NAME_rules.py` beside this and a line here."""

from distill.diagnosis.ade20k_rules import ADE20K_RULES
from distill.diagnosis.camvid_rules import CAMVID_RULES
from distill.diagnosis.cityscapes_rules import CITYSCAPES_RULES
from distill.diagnosis.coco_stuff_rules import COCO_STUFF_RULES
from distill.diagnosis.pascal_context_rules import PASCAL_CONTEXT_RULES
from distill.diagnosis.rules import Rules
from distill.diagnosis.voc_rules import VOC_RULES

USUAL_MISTAKES: dict[str, Rules] = {
    "ade20k": ADE20K_RULES,
    "camvid": CAMVID_RULES,
    "cityscapes": CITYSCAPES_RULES,
    "coco_stuff": COCO_STUFF_RULES,
    "pascal_context": PASCAL_CONTEXT_RULES,
    "voc": VOC_RULES,
}
"""By the dataset's name in `DATASETS`; they are asked before the rules for all."""
