"""Names that papers and other tools have for objectives, several of them for more than one."""

from collections.abc import Mapping

OTHER_NAMES: Mapping[str, str] = {
    "sigmoid": "dpo",
    "cdpo": "dpo with label_smoothing",
    "conservative_dpo": "dpo with label_smoothing",
    "ipo": "ipo_sum (over whole responses, as in the paper) or ipo_mean (per token, as in TRL)",
    "rdpo": "robust_dpo (flipped labels) or len_dpo (length-regularised)",
    "r_dpo": "robust_dpo (flipped labels) or len_dpo (length-regularised)",
    "robust": "robust_dpo",
    "rpo": "dpo_nll",
    "irpo": "dpo_nll",
    "sigmoid_norm": "dpo_norm",
    "exo_pair": "exo",
    "nca_pair": "nca",
    "bco_pair": "bco, with --convert thumbs",
    "apo": "apo_zero or apo_down",
    "sppo": "sppo_hard",
    "aot_pair": "aot (paired) or aot_unpaired; older tools say aot_pair for the unpaired one",
    "tdpo": "tdpo1 or tdpo2",
    "tr_dpo": "dpo with reference.every",
    "trdpo": "dpo with reference.every",
    "fdpo": "dpo_forward_kl, dpo_jensen_shannon or dpo_alpha_divergence",
    "f_dpo": "dpo_forward_kl, dpo_jensen_shannon or dpo_alpha_divergence",
    "lddpo": "ld_dpo",
    "smaug": "dpop",
    "pl": "plackett_luce",
    "pl_dpo": "plackett_luce",
    "mpo": "a mixture of dpo, bco and sft",
}
"""Their name, to what it is here."""
