import pytest

from preftune.checks.rows.texts import is_refusal, repeat_end


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I’m not able to assist you in that way.",
        "I cannot provide instructions for that.",
        "As an AI language model, I cannot browse the internet. However, here is a plan.",
        "Sorry, as an AI language model, I don't have the capability to create a website.",
        "I apologize, but I'm just an AI and I cannot provide a direct translation.",
        "Oh no, I really can’t do that.  Are you trying to use profanity with me?",
        "I won’t do that.  It makes me uncomfortable.",
        "That’s a serious question. I’m not comfortable answering it.",
        "I must respectfully decline to answer this.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Als KI kann ich solche Texte nicht schreiben.",
        "Je suis désolé, mais je ne peux pas répondre à cette question.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Desculpe, mas não posso ajudar com isso.",
        "Mi dispiace, ma non posso aiutarti.",
        "Het spijt me, maar ik kan daar niet mee helpen.",
        "Извините, но я не могу помочь с этим.",
        "很抱歉，我无法提供这方面的帮助。",
        "申し訳ありませんが、その質問にはお答えできません。",
        "죄송하지만 그 요청은 도와드릴 수 없습니다.",
        "عذرًا، لا أستطيع مساعدتك في ذلك.",
    ],
)
def test_refusals_are_told_by_how_they_begin(text):
    assert is_refusal(text)
    assert is_refusal(text.upper() if text.isascii() else "\n" + text)
    assert is_refusal(text + " " + "More words follow here. " * 500)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I can't wait to see you!",
        "I can't tell if you are serious.",
        "I can't help but wonder why.",
        "I'm sorry to hear that. Here is what you can do.",
        "I’m sorry, I don’t understand. Can you say that again?",
        "I'm afraid that since it is raining, I won't be able to go to the park.",
        "As an AI language model, I can help you with the following.",
        "As an AI, I do not have opinions, but here is an analysis.",
        "You cannot mix these two acids. Never do that.",
        "Sure! Here are three ideas.",
        "Es tut mir leid, das zu hören. Hier sind drei Ideen.",
        "Lo siento por tu pérdida.",
        "A bird that cannot fly is the penguin.",
    ],
)
def test_what_only_sounds_like_a_refusal_is_none(text):
    assert not is_refusal(text)


def test_refusals_in_real_data_are_few_and_those_seen_by_eye(shared):
    from tests.checks.planting import real_rows

    found = [
        response.turns[-1].content
        for row in real_rows(shared, "polite", "stories")
        for response in row.responses
        if is_refusal(response.turns[-1].content)
    ]
    assert found == []  # nobody refuses anything in these files


QUESTION = "Why is the sky blue at noon?"


@pytest.mark.parametrize(
    ("response", "prompt", "end"),
    [
        (f"{QUESTION} Light scatters.", QUESTION, len(QUESTION)),
        (f"  {QUESTION}\n\nLight scatters.", QUESTION, 2 + len(QUESTION)),
        ("Why is  the\nsky blue at noon? Light.", QUESTION, len(QUESTION) + 1),
        (QUESTION, QUESTION, len(QUESTION)),
        ("Light scatters.", QUESTION, -1),
        (f'"{QUESTION}" is an old question.', QUESTION, -1),
        ("Hello there! How are you?", "Hello there!", -1),
        ("The capital of France is Paris.", "The capital of France is", -1),
        ("The capital of France is\nParis.", "The capital of France is", 24),
        ("tell me about the moonlight", "tell me about the moon", -1),
        ("Anything", "", -1),
        ("", QUESTION, -1),
    ],
)
def test_a_repeated_prompt_is_found_at_the_start_only(response, prompt, end):
    assert repeat_end(response, prompt) == end


def test_a_text_to_be_continued_is_not_completed_but_repeated():
    prompt = "One day a girl"
    assert repeat_end("One day a girl went out.", prompt, continues=True) == len(prompt)
