"""The official `openai` package against a gateway, as its users would use it.

    openai_client.py [BASE_URL KEY]

or with STARLING_BASE_URL (ending in /v1) and STARLING_API_KEY, which keeps the key out of the list
of processes. Every check runs for every model that the gateway offers. No answer is compared with a
fixed text, so any model will do. What only some models do is checked where it happens; STARLING_EXPECT
lists what must have happened with one of them (calls, thoughts). The last line is `N passed, M failed`.
"""

import asyncio
import json
import os
import sys
import time
import traceback

import openai

PROMPT = [{"role": "user", "content": "Tell me a short story about a bird."}]
# A whole answer of the slowest model used here takes about two seconds.
LIMIT_S = 60
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": CITY}},
    {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
]
# What some model here has done.
SEEN = set()


class Bench:
    """What a check gets: a client, where it points, and the model it is about."""

    def __init__(self, base_url, key, model):
        self.base_url = base_url
        self.key = key
        self.model = model
        self.client = self.connect(key)

    def connect(self, key):
        # No retries: a failure that a second try hides is still a failure.
        return openai.OpenAI(base_url=self.base_url, api_key=key, max_retries=0, timeout=LIMIT_S)

    def ask(self, **changes):
        wish = {"model": self.model, "messages": PROMPT, "temperature": 0, "max_tokens": 32}
        return self.client.chat.completions.create(**(wish | changes))

    def text(self, **changes):
        return self.ask(**changes).choices[0].message.content


def models_are_listed_and_found_by_name(bench):
    listed = [model.id for model in bench.client.models.list()]
    assert bench.model in listed, listed
    found = bench.client.models.retrieve(bench.model)
    assert (found.id, found.object, found.owned_by) == (bench.model, "model", "starling"), found


def a_whole_answer(bench):
    answer = bench.ask()
    assert answer.object == "chat.completion", answer.object
    assert answer.model == bench.model, answer.model
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length"), choice.finish_reason
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 32, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage


def a_streamed_answer_is_the_whole_one_in_pieces(bench):
    chunks = list(bench.ask(stream=True, stream_options={"include_usage": True}))
    assert len({chunk.id for chunk in chunks}) == 1, "one id for the whole stream"
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    *pieces, last = chunks
    assert last.choices == [] and last.usage.completion_tokens > 0, last
    assert pieces[0].choices[0].delta.role == "assistant", pieces[0]
    reasons = [piece.choices[0].finish_reason for piece in pieces]
    assert reasons[-1] in ("stop", "length") and not any(reasons[:-1]), reasons
    texts = [piece.choices[0].delta.content or "" for piece in pieces]
    assert len([text for text in texts if text]) > 1, "it came in one piece"
    assert "".join(texts) == bench.text()


def a_stream_without_usage_has_none(bench):
    chunks = list(bench.ask(stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


def pieces_come_while_the_answer_is_being_made(bench):
    started = time.monotonic()
    arrivals = [time.monotonic() - started for _ in bench.ask(stream=True)]
    assert arrivals[0] < arrivals[-1], arrivals


def max_tokens_ends_with_length(bench):
    answer = bench.ask(max_tokens=3)
    assert answer.choices[0].finish_reason == "length", answer.choices[0].finish_reason
    assert answer.usage.completion_tokens == 3, answer.usage


def a_stop_string_ends_before_itself(bench):
    whole = bench.text()
    middle = len(whole) // 2
    stop = whole[middle : middle + 4]
    answer = bench.ask(stop=[stop, "this is never said"]).choices[0]
    assert answer.finish_reason == "stop", answer.finish_reason
    assert answer.message.content == whole[: whole.index(stop)], (stop, whole, answer.message.content)
    streamed = bench.ask(stop=stop, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert text == whole[: whole.index(stop)], (stop, whole, text)


def a_seed_repeats_itself(bench):
    hot = {"temperature": 1.0, "top_p": 0.95, "seed": 42}
    assert bench.text(**hot) == bench.text(**hot)


def system_and_earlier_messages_are_taken(bench):
    earlier = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "And now a story."}]},
    ]
    assert bench.ask(messages=earlier).usage.prompt_tokens > bench.ask().usage.prompt_tokens


def an_unknown_model_is_answered_with_those_there_are(bench):
    error = refused(openai.NotFoundError, lambda: bench.ask(model="no-such-model"))
    assert error.code == "model_not_found", error.body
    assert bench.model in error.message, error.message
    refused(openai.NotFoundError, lambda: bench.client.models.retrieve("no-such-model"))


def a_wrong_key_is_refused(bench):
    for key in ("sk-starling-wrong", "nonsense"):
        stranger = bench.connect(key)
        refused(openai.AuthenticationError, lambda: stranger.models.list())
        wish = {"model": bench.model, "messages": PROMPT}
        refused(openai.AuthenticationError, lambda: stranger.chat.completions.create(**wish))


def a_bad_request_names_its_field(bench):
    wishes = {
        "messages": [
            {"messages": [{"role": "wizard", "content": "Hello"}]},
            {"messages": [{"role": "user", "content": 5}]},
            {"messages": "Hello"},
            {"messages": []},
        ],
        "temperature": [{"temperature": "hot"}, {"temperature": -1}],
        "max_tokens": [{"max_tokens": "many"}, {"max_tokens": -3}],
        "top_p": [{"top_p": 7}],
        "stream": [{"stream": "yes"}],
        "stop": [{"stop": 5}],
    }
    for field, bad in wishes.items():
        for wish in bad:
            error = refused(openai.BadRequestError, lambda wish=wish: bench.ask(**wish))
            assert field in f"{error.param} {error.message}", (wish, error.param, error.message)


def a_reader_who_leaves_frees_the_slot(bench):
    # More than any node here has slots: leftovers would block the last one.
    for _ in range(8):
        with bench.ask(stream=True, max_tokens=400) as stream:
            next(iter(stream))
    started = time.monotonic()
    assert bench.ask(max_tokens=4).usage.completion_tokens == 4
    assert time.monotonic() - started < 20


def four_at_once(bench):
    async def all_four():
        options = {"base_url": bench.base_url, "api_key": bench.key, "max_retries": 0}
        async with openai.AsyncOpenAI(timeout=LIMIT_S, **options) as client:
            wish = {"model": bench.model, "messages": PROMPT, "temperature": 0, "max_tokens": 16}
            one = client.chat.completions.create
            return await asyncio.gather(*(one(**wish) for _ in range(4)))

    answers = asyncio.run(all_four())
    assert len({answer.id for answer in answers}) == 4
    assert all(answer.choices[0].message.content for answer in answers)


def several_answers_to_one_question(bench):
    answer = bench.ask(n=3, temperature=1.0, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2], answer
    assert all(choice.finish_reason in ("stop", "length") for choice in answer.choices)
    one = bench.ask(temperature=1.0, seed=5)
    assert answer.usage.prompt_tokens == one.usage.prompt_tokens, answer.usage
    assert answer.usage.completion_tokens > one.usage.completion_tokens, answer.usage
    chunks = [chunk.choices[0] for chunk in bench.ask(n=3, stream=True)]
    ends = sorted(choice.index for choice in chunks if choice.finish_reason)
    assert ends == [0, 1, 2], ends
    for n in (0, 9):
        assert refused(openai.BadRequestError, lambda n=n: bench.ask(n=n)).param == "n"


def how_likely_each_token_was(bench):
    answer = bench.ask(logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens, (len(tokens), answer.usage)
    check_tokens(tokens, answer.choices[0].message.content)
    chunks = [chunk.choices[0] for chunk in bench.ask(logprobs=True, top_logprobs=3, stream=True)]
    streamed = [token for choice in chunks if choice.logprobs for token in choice.logprobs.content]
    check_tokens(streamed, "".join(choice.delta.content or "" for choice in chunks))
    assert bench.ask().choices[0].logprobs is None
    assert refused(openai.BadRequestError, lambda: bench.ask(top_logprobs=3)).param == "top_logprobs"
    bad = {"logprobs": True, "top_logprobs": 21}
    assert refused(openai.BadRequestError, lambda: bench.ask(**bad)).param == "top_logprobs"


def check_tokens(tokens, text):
    assert tokens and all(token.logprob <= 0 and len(token.top_logprobs) <= 3 for token in tokens), tokens
    # Of greedy answers the likeliest token is the one that was taken.
    assert all(token.top_logprobs[0].logprob <= token.logprob + 1e-3 for token in tokens), tokens
    said = b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace")
    assert text in said, (text, said)


def penalties_and_biases_are_taken(bench):
    wish = {"frequency_penalty": 0.5, "presence_penalty": -0.5, "logit_bias": {"5": -100}}
    assert bench.text(**wish)
    for bad in ({"frequency_penalty": 3}, {"presence_penalty": -3}, {"logit_bias": {"x": 1}}):
        error = refused(openai.BadRequestError, lambda bad=bad: bench.ask(**bad))
        assert error.param == next(iter(bad)), (bad, error.param)


def an_answer_in_the_form_asked_for_or_none(bench):
    named = {"name": "where", "schema": CITY, "strict": True}
    for form in ({"type": "json_object"}, {"type": "json_schema", "json_schema": named}):
        try:
            [choice] = bench.ask(response_format=form, max_tokens=200).choices
        except openai.BadRequestError as error:
            assert error.param == "response_format", error.body
            continue
        if choice.finish_reason == "stop":
            found = json.loads(choice.message.content)
            assert isinstance(found, dict), found
            assert form["type"] == "json_object" or isinstance(found["city"], str), found
    bad = {"response_format": {"type": "xml"}}
    assert refused(openai.BadRequestError, lambda: bench.ask(**bad)).param == "response_format.type"


def tools_are_called(bench):
    wish = {"tools": TOOLS, "max_tokens": 200}
    try:
        [choice] = bench.ask(**wish).choices
    except openai.BadRequestError as error:
        # A model whose template knows no tools.
        assert error.param == "tools", error.body
        return
    calls = choice.message.tool_calls or []
    if calls:
        SEEN.add("calls")
        assert choice.finish_reason == "tool_calls", choice.finish_reason
    assert len({call.id for call in calls}) == len(calls), calls
    called = [(call.type, call.function.name, json.loads(call.function.arguments)) for call in calls]
    assert all(kind == "function" and isinstance(arguments, dict) for kind, _, arguments in called), called
    deltas = [chunk.choices[0].delta.tool_calls or [] for chunk in bench.ask(stream=True, **wish)]
    assert put_together(delta for some in deltas for delta in some) == called, (deltas, called)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "20 degrees"} for call in calls]
    back = [*PROMPT, choice.message.model_dump(), *results]
    assert bench.ask(messages=back, tools=TOOLS).usage.prompt_tokens > 0


def put_together(deltas):
    """Whole calls out of what came of them, as every client does it."""
    calls = []
    for delta in deltas:
        if delta.id:
            assert delta.index == len(calls), delta
            calls.append([delta.type, delta.function.name, ""])
        calls[delta.index][2] += delta.function.arguments or ""
    return [(kind, name, json.loads(arguments)) for kind, name, arguments in calls]


def thoughts_are_no_part_of_the_answer(bench):
    message = bench.ask(max_tokens=200).choices[0].message
    thoughts = getattr(message, "reasoning_content", None)
    if thoughts:
        SEEN.add("thoughts")
    assert "</think>" not in (message.content or ""), message
    deltas = [chunk.choices[0].delta for chunk in bench.ask(max_tokens=200, stream=True)]
    streamed = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert streamed == (thoughts or ""), (streamed, thoughts)
    assert bench.ask(reasoning_effort="none")


def who_answered_and_how_soon_is_said(bench):
    raw = bench.client.chat.completions.with_raw_response.create(model=bench.model, messages=PROMPT, max_tokens=4)
    assert raw.headers["x-starling-node"] and raw.headers["x-starling-peer"], raw.headers
    assert int(raw.headers["x-starling-queue-ms"]) <= int(raw.headers["x-starling-first-token-ms"]), raw.headers
    assert int(raw.headers["openai-processing-ms"]) >= 0 and raw.headers["x-request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    last = list(bench.ask(stream=True, max_tokens=4))[-1]
    assert last.starling["node"] and last.starling["first_token_ms"] >= last.starling["queue_ms"], last
    error = refused(openai.NotFoundError, lambda: bench.ask(model="no-such-model"))
    assert error.request_id.startswith("req_"), error


def a_text_goes_on(bench):
    def go_on(prompt="Once upon a time", **changes):
        wish = {"model": bench.model, "prompt": prompt, "temperature": 0, "max_tokens": 8}
        return bench.client.completions.create(**(wish | changes))

    answer = go_on()
    assert (answer.object, answer.choices[0].finish_reason) == ("text_completion", "length"), answer
    assert answer.usage.completion_tokens == 8, answer.usage
    text = answer.choices[0].text
    *chunks, usage = go_on(stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == text, chunks
    assert usage.usage.total_tokens == answer.usage.total_tokens, usage
    assert go_on(echo=True).choices[0].text == "Once upon a time" + text
    two = go_on(["Once upon a time", "It was"], n=2, temperature=1.0, seed=3)
    assert [choice.index for choice in two.choices] == [0, 1, 2, 3], two
    likely = go_on(logprobs=2).choices[0].logprobs
    assert len(likely.tokens) == len(likely.token_logprobs) == len(likely.text_offset) == 8, likely
    assert go_on([1, 2, 3]).usage.prompt_tokens == 3
    assert go_on([[1, 2, 3], [4]]).choices[1].text is not None
    assert len(bench.client.completions.create(model=bench.model, prompt="It was").choices[0].text) > 0
    for field, bad in (("suffix", "."), ("best_of", 3), ("prompt", ""), ("max_tokens", 0), ("logprobs", 99)):
        error = refused(openai.BadRequestError, lambda field=field, bad=bad: go_on(**{field: bad}))
        assert error.param == field, (field, error.body)


def respond(bench, **changes):
    wish = {"model": bench.model, "input": PROMPT, "temperature": 0, "max_output_tokens": 32}
    return bench.client.responses.create(**(wish | changes))


def a_response_whole_and_in_events(bench):
    response = respond(bench)
    assert (response.object, response.store) == ("response", False), response
    assert response.output_text, response
    assert response.status in ("completed", "incomplete"), response.status
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens, usage
    wish = {"model": bench.model, "input": PROMPT, "temperature": 0, "max_output_tokens": 32}
    with bench.client.responses.stream(**wish) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:3]] == [
        "response.created", "response.in_progress", "response.output_item.added"
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == response.output_text and len(deltas) > 1, deltas
    last = events[-1].response
    assert last.output_text == response.output_text and last.usage.output_tokens == usage.output_tokens, last
    cut = respond(bench, max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens"), cut
    assert respond(bench, input="Hello", instructions="Be brief.", store=False).output_text


def a_response_calls_functions(bench):
    flat = [{"type": "function", **tool["function"], "strict": False} for tool in TOOLS]
    try:
        response = respond(bench, tools=flat, max_output_tokens=200)
    except openai.BadRequestError as error:
        assert error.param == "tools", error.body
        return
    calls = [item for item in response.output if item.type == "function_call"]
    if any(item.type == "reasoning" for item in response.output):
        SEEN.add("response-thoughts")
    if calls:
        SEEN.add("response-calls")
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "20 degrees"} for call in calls]
    back = [*PROMPT, *[item.model_dump(exclude_none=True) for item in response.output], *results]
    assert respond(bench, input=back, tools=flat).usage.input_tokens > response.usage.input_tokens
    events = respond(bench, tools=flat, max_output_tokens=200, stream=True)
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [call.arguments for call in calls], (done, calls)


def a_response_in_the_form_asked_for_or_none(bench):
    form = {"type": "json_schema", "name": "where", "schema": CITY, "strict": True}
    try:
        response = respond(bench, text={"format": form}, max_output_tokens=200)
    except openai.BadRequestError as error:
        assert error.param == "text.format", error.body
        return
    if response.status == "completed":
        assert isinstance(json.loads(response.output_text)["city"], str), response.output_text


def what_a_response_cannot_be_is_said(bench):
    wishes = {"store": True, "background": True, "previous_response_id": "resp_1", "temperature": 9, "input": []}
    for field, bad in wishes.items():
        error = refused(openai.BadRequestError, lambda field=field, bad=bad: respond(bench, **{field: bad}))
        assert error.param == field, (field, error.body)


CHECKS = [
    models_are_listed_and_found_by_name,
    a_whole_answer,
    a_streamed_answer_is_the_whole_one_in_pieces,
    a_stream_without_usage_has_none,
    pieces_come_while_the_answer_is_being_made,
    max_tokens_ends_with_length,
    a_stop_string_ends_before_itself,
    a_seed_repeats_itself,
    system_and_earlier_messages_are_taken,
    an_unknown_model_is_answered_with_those_there_are,
    a_wrong_key_is_refused,
    a_bad_request_names_its_field,
    a_reader_who_leaves_frees_the_slot,
    four_at_once,
    several_answers_to_one_question,
    how_likely_each_token_was,
    penalties_and_biases_are_taken,
    an_answer_in_the_form_asked_for_or_none,
    tools_are_called,
    thoughts_are_no_part_of_the_answer,
    who_answered_and_how_soon_is_said,
    a_text_goes_on,
    a_response_whole_and_in_events,
    a_response_calls_functions,
    a_response_in_the_form_asked_for_or_none,
    what_a_response_cannot_be_is_said,
]


def one_text_and_many(bench):
    one = bench.client.embeddings.create(model=bench.model, input="a text")
    assert (one.object, one.model, len(one.data)) == ("list", bench.model, 1), one
    assert one.usage.prompt_tokens > 0 and one.usage.total_tokens == one.usage.prompt_tokens, one.usage
    many = bench.client.embeddings.create(model=bench.model, input=["another", "a text"], encoding_format="float")
    assert [entry.index for entry in many.data] == [0, 1], many
    vector, same = one.data[0].embedding, many.data[1].embedding
    # The client asks for base64 by itself, and for floats when told to.
    assert len(vector) == len(same) and max(abs(a - b) for a, b in zip(vector, same)) < 1e-3
    assert abs(sum(value * value for value in vector) - 1) < 1e-4


def an_embedding_model_does_not_answer(bench):
    error = refused(openai.BadRequestError, bench.ask)
    assert error.param == "model", error


def texts_are_checked(bench):
    for wrong in ("", [], [1, 2, 3], ["x"] * 257):
        error = refused(openai.BadRequestError, lambda: bench.client.embeddings.create(model=bench.model, input=wrong))
        assert error.param == "input", error


EMBEDDING_CHECKS = [
    models_are_listed_and_found_by_name,
    one_text_and_many,
    an_embedding_model_does_not_answer,
    texts_are_checked,
]


def refused(kind, call):
    """The error of the given kind that the call ends with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def run(check, bench):
    try:
        check(bench)
    except Exception:  # a check that breaks in any way has failed, and the others still run
        print(f"FAILED {bench.model}: {check.__name__}\n{traceback.format_exc()}")
        return False
    print(f"ok {bench.model}: {check.__name__}")
    return True


def main(checks):
    given = sys.argv[1:] or [os.environ["STARLING_BASE_URL"], os.environ["STARLING_API_KEY"]]
    base_url, key = given
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=LIMIT_S) as client:
        models = [(model.id, model.kind) for model in client.models.list()]
    results = [run(check, Bench(base_url, key, model)) for model, kind in models for check in checks[kind]]
    missing = set(os.environ.get("STARLING_EXPECT", "").split()) - SEEN
    for what in sorted(missing):
        print(f"FAILED: no model here shows {what}")
    results += [False] * len(missing)
    failed = results.count(False)
    print(f"{results.count(True)} passed, {failed} failed")
    # No model at all means that nothing was tested.
    sys.exit(1 if failed or not models else 0)


if __name__ == "__main__":
    main({"chat": CHECKS, "embedding": EMBEDDING_CHECKS})
