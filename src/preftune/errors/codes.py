"""What each error code means, for `preftune explain CODE`.

PT1xx reading · PT2xx rendering · PT3xx configuration · PT4xx models · PT5xx runs · PT6xx resources
"""

EXPLANATIONS: dict[str, str] = {
    "PT100": "The data file or folder can't be opened: it is missing, or not readable.",
    "PT101": "The file is not what its name says: a broken or half-written gzip, JSON or Parquet.",
    "PT102": "The data holds no rows.",
    "PT103": "The columns fit no known layout. Name them: --map chosen=good,rejected=bad.",
    "PT104": "One or more rows are broken, so the file is refused. Each is listed with file, line "
    "and reason. --bad-rows skip goes on without them and counts them. Well-formed rows that have "
    "nothing to teach (an empty response, two identical ones) are left out and counted; only where "
    "they are more than 5 % of the file is it refused.",
    "PT105": "The data does not fit the objective: DPO needs pairs, SFT needs responses.",
    "PT106": "No row is left after exclusions: all were broken, identical or too long.",
    "PT107": "A Parquet or JSON file would decode to more than the memory set aside for it.",
    "PT108": "A row can't be written so that it reads back as the same: no layout holds what was "
    "judged of it, or the rows of one file are of several kinds.",
    "PT200": "The rendered prompt of a row is not the beginning of prompt + response, so no "
    "boundary between what is given and what is trained can be drawn.",
    "PT201": "The chat template refuses a row, for instance because roles do not alternate.",
    "PT300": "An option or key of the run file is unknown.",
    "PT301": "A value is of the wrong kind or out of range.",
    "PT302": "A required option is missing.",
    "PT303": "The objective is unknown, or is given a setting that it does not use.",
    "PT304": "The run file can't be read as YAML.",
    "PT305": "The run folder holds a run of another configuration. Nothing was overwritten.",
    "PT306": "The run folder can't be written, or is not a run folder.",
    "PT307": "The objectives of a mixture can't be added up.",
    "PT308": "The mended copy can't be written under this name. Nothing was overwritten: a copy is "
    "a new .jsonl file, never the data itself.",
    "PT309": "The model can't take the adapters asked for: each of `lora.targets` must be a linear "
    "layer, by the last part of its name, and `lora.rank` no higher than a layer's own.",
    "PT310": "A setting needs a package that is not installed, or a newer one: an extra of "
    "preftune brings it.",
    "PT311": "Two settings can't be had together: bfloat16 weights need bfloat16 matmuls, and "
    "updates in the backward pass need steps of one micro-batch and no clipping.",
    "PT400": "The model folder or hub name can't be loaded.",
    "PT401": "The model has no tokenizer.",
    "PT402": "The model's weights are pickles. preftune reads safetensors only.",
    "PT403": "The model needs code of its own, which is run only with --trust-remote-code.",
    "PT404": "The model is of a kind that preftune can't train: not a causal language model.",
    "PT405": "The model's layers can't be computed again in the backward pass.",
    "PT406": "The memory of this architecture can't be foreseen: its code looks at what is in the "
    "tensors, and a plan knows only their shapes. --try measures instead.",
    "PT407": "The model's layers can't be compiled: its attention or its state is its own.",
    "PT500": "The loss or a gradient is not finite. Training stopped before the weights changed.",
    "PT501": "A checkpoint is damaged or incomplete.",
    "PT502": "Another process is writing to this run folder.",
    "PT504": "preftune failed in a way it did not foresee: a bug of ours.",
    "PT600": "The disk is full or has too little space for the run.",
    "PT601": "Memory ran out.",
}
