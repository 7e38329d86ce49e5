"""Every loss that both have: ours, one that must not pass for it, and TRL's settings."""

from preftune.objectives.binding import bind, bind_mixture
from tests.field.case import Case, bco_without_shift, kto_without_kl, weighing

CASES = [
    Case("sigmoid", bind("dpo"), bind("hinge"), lr=0.02, theirs={"loss_type": "sigmoid"}),
    # Ours is cut at other places.
    Case(
        "sigmoid, two micro-batches",
        bind("dpo"),
        bind("hinge"),
        lr=0.02,
        accumulate=2,
        tokens_per_batch=300,
        theirs={"loss_type": "sigmoid"},
    ),
    # The rival's reference stays where it is.
    Case(
        "sigmoid, moving reference",
        bind("dpo"),
        bind("dpo"),
        lr=0.05,
        slow=True,
        moving=(2, 0.6),
        theirs={
            "loss_type": "sigmoid",
            "sync_ref_model": True,
            "ref_model_sync_steps": 2,
            "ref_model_mixup_alpha": 0.6,
        },
    ),
    Case("hinge", bind("hinge"), bind("dpo"), lr=0.005, theirs={"loss_type": "hinge"}),
    # TRL's is the form that divides by the lengths.
    Case(
        "ipo",
        bind("ipo_mean", {"tau": 0.5}),
        bind("ipo_sum", {"tau": 0.5}),
        lr=0.01,
        theirs={"loss_type": "ipo", "beta": 0.5},
    ),
    # The rival is the other direction of the same KL.
    Case(
        "exo_pair",
        bind("exo", {"epsilon": 1e-3}),
        bind("dpo", {"label_smoothing": 1e-3}),
        lr=0.005,
        theirs={"loss_type": "exo_pair", "label_smoothing": 1e-3},
    ),
    Case(
        "nca_pair",
        bind("nca", {"beta": 0.1}),
        bind("apo_zero"),
        lr=0.1,
        theirs={"loss_type": "nca_pair"},
    ),
    Case(
        "robust",
        bind("robust_dpo", {"epsilon": 0.1}),
        bind("dpo", {"label_smoothing": 0.1}),
        lr=0.008,
        theirs={"loss_type": "robust", "label_smoothing": 0.1},
    ),
    # A sum over both responses, and no shift.
    Case(
        "bco_pair",
        weighing(bco_without_shift(), 2.0),
        weighing(bind("bco", {"memory": 0.0}), 2.0),
        lr=0.02,
        theirs={"loss_type": "bco_pair"},
    ),
    # Both add the squares up; the authors' code halves the sum.
    Case(
        "sppo_hard",
        bind("sppo_hard", {"beta": 0.1}),
        bind("cal_dpo", {"beta": 0.1, "calibration": 1.0}),
        lr=1e-5,
        theirs={"loss_type": "sppo_hard"},
    ),
    # TRL once called the unpaired form so.
    Case(
        "aot",
        bind("aot", {"beta": 0.1}),
        bind("dpo"),
        lr=0.03,
        rows="level",
        theirs={"loss_type": "aot"},
    ),
    Case(
        "aot_unpaired",
        bind("aot_unpaired", {"beta": 0.1, "label_smoothing": 0.1}),
        bind("aot", {"beta": 0.1, "label_smoothing": 0.1}),
        lr=0.02,
        theirs={"loss_type": "aot_unpaired", "label_smoothing": 0.1},
    ),
    Case("apo_zero", bind("apo_zero"), bind("apo_down"), lr=0.05, theirs={"loss_type": "apo_zero"}),
    Case("apo_down", bind("apo_down"), bind("apo_zero"), lr=0.05, theirs={"loss_type": "apo_down"}),
    # At the default tau there is a hollow 7 % below the start that holds the loss.
    Case(
        "discopop",
        bind("discopop", {"beta": 0.1, "tau": 0.2}),
        bind("discopop", {"beta": 0.1, "tau": 0.25}),
        lr=0.02,
        theirs={"loss_type": "discopop", "discopop_tau": 0.2},
    ),
    Case(
        "sigmoid_norm",
        bind("dpo_norm", {"beta": 5.0}),
        bind("dpo"),
        lr=0.01,
        theirs={"loss_type": "sigmoid_norm", "beta": 5.0},
    ),
    Case(
        "sft",
        bind("sft"),
        bind("unlikelihood", {"alpha": 0.0}),
        lr=0.1,
        theirs={"loss_type": "sft"},
    ),
    Case(
        "sigmoid and sft",
        bind_mixture([{"name": "dpo"}, {"name": "sft", "weight": 0.2}]),
        bind("dpo_nll", {"alpha": 0.2}),
        lr=0.02,
        slow=True,
        theirs={"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]},
    ),
    Case(
        "ld_alpha",
        bind("ld_dpo", {"alpha": 0.3}),
        bind("dpo"),
        lr=0.02,
        slow=True,
        theirs={"loss_type": "sigmoid", "ld_alpha": 0.3},
    ),
    Case(
        "use_weighting",
        bind("wpo", {"beta": 0.1, "largest_weight": 1e6}),
        bind("dpo"),
        lr=0.02,
        slow=True,
        theirs={"loss_type": "sigmoid", "use_weighting": True},
    ),
    # exp(-log-ratio) makes the rounding of a sum over tokens a relative error: short responses.
    Case(
        "forward_kl",
        bind("dpo_forward_kl"),
        bind("dpo"),
        lr=0.004,
        rows="short",
        slow=True,
        theirs={"loss_type": "sigmoid", "f_divergence_type": "forward_kl"},
    ),
    Case(
        "js_divergence",
        bind("dpo_jensen_shannon"),
        bind("dpo"),
        lr=0.02,
        slow=True,
        theirs={"loss_type": "sigmoid", "f_divergence_type": "js_divergence"},
    ),
    # TRL's coefficient is 1 - alpha.
    Case(
        "alpha_divergence",
        bind("dpo_alpha_divergence", {"alpha": 0.3}),
        bind("dpo_alpha_divergence", {"alpha": 0.7}),
        lr=0.005,
        slow=True,
        theirs={
            "loss_type": "sigmoid",
            "f_divergence_type": "alpha_divergence",
            "f_alpha_divergence_coef": 0.7,
        },
    ),
    Case(
        "kto",
        bind("kto", {"desirable_weight": 0.8, "undesirable_weight": 1.5}),
        kto_without_kl(desirable_weight=0.8, undesirable_weight=1.5),
        trainer="KTO",
        lr=0.1,
        rows="thumbs",
        theirs={"desirable_weight": 0.8, "undesirable_weight": 1.5},
    ),
    Case(
        "apo_zero_unpaired",
        kto_without_kl(),
        bind("bco"),
        trainer="KTO",
        lr=0.05,
        slow=True,
        rows="thumbs",
        theirs={"loss_type": "apo_zero_unpaired"},
    ),
    # Gamma is the margin itself; the rival takes it for gamma / beta.
    Case(
        "simpo",
        bind("simpo", {"beta": 2.0, "gamma": 1.0, "label_smoothing": 0.1}),
        bind("simpo", {"beta": 2.0, "gamma": 2.0, "label_smoothing": 0.1}),
        trainer="CPO",
        lr=0.05,
        theirs={
            "loss_type": "simpo",
            "cpo_alpha": 0.0,
            "beta": 2.0,
            "simpo_gamma": 1.0,
            "label_smoothing": 0.1,
        },
    ),
    Case(
        "alphapo",
        bind("alphapo", {"beta": 2.5, "gamma": 0.1, "alpha": 0.25}),
        bind("simpo", {"beta": 2.5, "gamma": 0.1}),
        trainer="CPO",
        lr=0.002,
        slow=True,
        theirs={"loss_type": "alphapo", "alpha": 0.25, "beta": 2.5, "simpo_gamma": 0.1},
    ),
    Case(
        "cpo without likelihood",
        bind("cpo", {"alpha": 0.0}),
        bind("dpo"),
        trainer="CPO",
        lr=0.02,
        theirs={"cpo_alpha": 0.0},
    ),
    # Where the chosen responses are of one length.
    Case("cpo", bind("cpo"), bind("cpo", {"per_token": 0}), trainer="CPO", lr=0.02, rows="level"),
    Case(
        "cpo's hinge",
        bind("slic", {"delta": 1.0, "lam": 0.0}),
        bind("slic", {"delta": 1.0, "lam": 0.1}),
        trainer="CPO",
        lr=0.002,
        slow=True,
        theirs={"loss_type": "hinge", "beta": 1.0, "cpo_alpha": 0.0},
    ),
    # Where the chosen responses are of one length, and there are no prompts.
    Case(
        "orpo",
        bind("orpo", {"lam": 0.2}),
        bind("orpo"),
        trainer="ORPO",
        lr=0.05,
        rows="level",
        theirs={"beta": 0.2},
    ),
]
