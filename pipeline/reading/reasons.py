"""What to do about rows that are dropped, by the reason that is counted."""

_TURNS = "turns are of user and assistant by turns, after one of system at most; the prompt ends with the user's"
_TEXT = "write a text there, or name another column in data.columns"
_CHAT = "a chat is a list of messages, each with role and content (or from and value)"
_CODING = "say in {key} what it means, or mend the row"
_FULL = "fill the cell, or remove the row"
_ONE = "nothing is wrong: no response is better than the other"

ADVICE = {
    "answers_malformed": "this layout has a list of objects there; of another one name the columns in data.columns",
    "between_best_and_worst": "nothing is wrong: the best and the worst of a prompt are the pair",
    "content_is_no_text": "content is a text, or a list of parts with a text each; pictures and calls are not read",
    "context_is_no_text": "data.columns.context is a text or a list of texts: write what the prompt should say",
    "control_token_in_text": "remove the token: it would end a turn, or begin one of another role",
    "duplicate": "nothing is wrong: an earlier row says the same",
    "empty_content": "write the content of the message, or remove the row",
    "empty_prompt": f"{_FULL}; where conversations hold the prompt, they are lists of messages or transcripts",
    "empty_text": _FULL,
    "fewer_than_two_responses": "give a list of two responses or more",
    "games_disagree": _ONE,
    "history_malformed": "history is a list of turns, each a list of what the user and what the assistant said",
    "info_malformed": "info is an object with the post or the article",
    "label_not_0_or_1": _CODING.format(key="data.label_coding"),
    "media_are_not_read": "remove the rows that show pictures: models of text read the words alone",
    "message_malformed": _CHAT,
    "message_without_role": _CHAT,
    "messages_in_no_json": "these are messages as Python, pandas or NumPy print them, or JSON that is broken or cut "
    "short; write them with json.dumps, or as lists into JSON Lines or Parquet",
    "messages_instead_of_text": "a text is read here: write it alone, or name the column of a conversation in "
    "data.columns as prompt, response, chosen or rejected",
    "near_duplicate_across_splits": "nothing is wrong: what is trained on, or chosen by, has nearly the same; "
    "data.leakage.threshold says how nearly",
    "no_list_of_responses": "this layout has lists of responses there",
    "no_messages": _CHAT,
    "no_question_and_answers": "name in data.columns.judge_prompt the column with the judge's whole prompt",
    "no_rank": "give every answer a rank",
    "no_ranked_replies": "nothing to compare: a tree needs two replies to one message that have a rank",
    "no_score": "give every response a score",
    "no_score_for_every_response": "give a list of as many scores as responses",
    "no_shared_turn": "both conversations are the same up to the last turn; where only the responses are stored, name "
    "data.columns.prompt",
    "no_verdict_for_every_two": "give a verdict for each two responses, in the order 1-2, 1-3, ..., 2-3",
    "no_winner": f"{_FULL}; a winner was not given",
    "not_in_the_coding": "its layout has other values; name the columns in data.columns and data.winner_coding",
    "not_two_summaries": "give two summaries",
    "not_utf8": "convert the file to UTF-8, as with `iconv -f CP1252 -t UTF-8 OLD > NEW` where it is CP1252, or write "
    "the bytes of this row anew",
    "prompt_does_not_end_with_the_user": _TURNS,
    "prompt_is_not_in_the_chat": "the conversations say something else than the prompt beside them: mend the row, or "
    "list the column in data.ignore_columns, where the conversations are meant",
    "reasoning_is_not_read": "an answer has reasoning_content, thinking or reasoning, for which transcripts have no "
    "place: set data.chat_format to template, with a policy whose template writes it, or remove the key from the "
    "messages",
    "repeated_prompt": "nothing is wrong: an earlier row of the split has this prompt",
    "response_has_several_turns": "a response is one message of the assistant, or the turns of the prompt and this",
    "response_is_not_the_assistants": "the last message of a conversation is the assistant's",
    "roles_out_of_order": _TURNS,
    "score_is_no_number": "write a finite number, or name another column in data.columns",
    "scores_contradict_each_other": "the two scores of a row add up to 0",
    "scores_contradict_label": "mend the label or the scores: they prefer different responses",
    "several_questions": "rows answer several questions; export the results of one control, or name the columns",
    "skipped": "nothing is wrong: the annotator passed",
    "summaries_malformed": "summaries is a list of objects with a text each",
    "superseded": "nothing is wrong: the annotator has voted again on the same item",
    "template_refuses_the_roles": f"the policy's chat template refuses these roles: {_TURNS}",
    "template_rewrites_the_response": "the policy's chat template changes it; set data.chat_format: transcript",
    "text_instead_of_messages": "the other rows have chats; write messages there, or name data.columns.prompt",
    "text_is_no_string": _TEXT,
    "tie": _ONE,
    "too_few_words": "lower data.min_words, or give longer texts",
    "tools_malformed": "data.columns.tools is a list of JSON schemas, or its JSON: write it so",
    "template_writes_no_reasoning": "the policy's chat template leaves out reasoning_content, thinking or reasoning of "
    "an answer: take another policy, or remove the key from the messages",
    "template_writes_no_tools": "the policy's chat template leaves out tools or what they answer: take another policy",
    "tools_are_not_read": "take a policy whose chat template writes tools, or remove the rows that use them",
    "turn_in_response": "cut the response where its next turn begins, or remove the row",
    "two_prompts": "keep one of the two prompts of the row, or name the right one in data.columns.prompt",
    "two_system_texts": "keep one of the two system texts",
    "undeclared_label": _CODING.format(key="data.label_coding"),
    "undeclared_winner": _CODING.format(key="data.winner_coding"),
    "undone": "nothing is wrong: the annotator took the vote back",
    "unknown_role": "roles are system, user (human, prompter) and assistant (gpt, bot, model); rename it",
    "unpaired": "nothing to compare: a pair needs two responses to one prompt, of which one is better",
    "verdicts_contradict": "say once which response is the best, or mend the row: its columns prefer different ones",
    "unreadable_verdict": _CODING.format(key="data.winner_coding"),
    "annotations_malformed": "annotations is a list of objects, as Label Studio exports them",
    "completions_malformed": "this layout has a list of objects there; of another one name the columns in data.columns",
    "data_malformed": "data is an object with the texts of the task, as Label Studio exports it",
    "left_and_right_unclear": "no two keys of data say which text is left; call them text1 (left) and text2 (right)",
    "no_list_of_turns": "this layout has lists of turns there; of another one name the columns in data.columns",
    "no_preference": _ONE,
    "no_prompt": "fill the column of the prompt, or remove the row",
    "not_one_winner": "exactly one of the columns that say who won is 1",
    "turns_without_an_answer": "every turn of the user needs an answer of each model",
    "keys_too_many_or_long": "a row is an object whose keys are names of columns; texts belong into its values",
    "lone_surrogate": "half of a UTF-16 pair stands there as an escape, such as \\ud83d without \\ude00 behind it: the "
    "text was cut inside a character such as an emoji. Write the whole character, or take the escape out",
    "nul_character": "take the NUL (\\u0000) out of the text: tokenizers and many programs end a text there",
    "malformed_json": "write each row as a line of JSON of its own, with json.dumps",
    "nested_too_deeply": "write the row with fewer lists and objects inside each other",
    "not_an_object": "write each row as an object with the names of the columns as keys",
    "other_pair_of_the_row": "nothing is wrong: responses of the same place in both lists are the pairs",
    "repeated_key": "keep one of the keys of the same name",
    "row_too_large": "raise data.max_row_megabytes, or remove the row",
    "too_many_cells": "put texts with the delimiter in them into quotation marks",
}
_FILE = "mend this row of the file; it ends, or is quoted, in another way than the others"


def advise_reason(reason: str) -> str:
    """What to do, in words; of rows that the file itself breaks in a way of their own, the same for all."""
    return ADVICE.get(reason, _FILE)
