"""The rules of the contract."""

REASONS = {
    "missing_field": "a field of the contract is absent",
    "wrong_type": "a field is of another type; split and source outside their values, a number that is not finite",
    "not_utf8": "a text with a lone surrogate or NUL, which UTF-8 files or tokenizers cannot hold",
    "blank_text": "id, prompt or response of white space and zero-width characters only",
    "too_long": "prompt or response above validate_preferences.max_characters",
    "control_token": "a text has a control token, such as <|im_end|> or </s>, which would end or begin a turn",
    "bidi_control": "a text has characters that show it in another order than it is read (such as U+202E)",
    "replacement_character": "a text has U+FFFD: some program could not read its bytes",
    "mojibake": "a text is UTF-8 that was read as Latin-1 or Windows-1252, such as cafÃ© for café",
    "negative_margin": "the judge scored the rejected response above the chosen one",
    "identical_pair": "both responses are the same after NFC and white-space folding",
    "prefix_pair": "one response begins with the whole other one",
    "prompt_repeated": "a response begins with its prompt, or with the last turn of it",
    "scores_contradict_label": "the rejected response has the higher score",
    "length_ratio": "the longer response exceeds validate_preferences.max_length_ratio times the shorter",
    "over_context": "prompt and longer response exceed validate_preferences.max_tokens of the policy",
    "contradictory_pair": "the set holds this pair in the other direction, too; both are quarantined",
    "split_leakage": "the prompt is also in a split that is held out further; that one keeps it",
    "duplicate_id": "an earlier row has this id",
    "duplicate_pair": "an earlier row has this prompt and these responses",
    "near_duplicate": "an earlier row shares validate_preferences.near_duplicate_similarity of its word trigrams",
}
"""What each rule refuses or warns of, by its code, in the order of the rounds."""
