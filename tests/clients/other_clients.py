"""Other programs' clients against a gateway, as their users would use them: litellm and langchain-openai.

    other_clients.py [BASE_URL KEY]

As openai_client.py, beside whose checks these stand.
"""

import os
import warnings

# Neither asks anybody but the gateway.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGSMITH_TRACING"] = "false"

import litellm
import openai
import tiktoken
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from openai_client import CITY, LIMIT_S, PROMPT, SEEN, TOOLS, main, refused

# What litellm makes of its own types is not ours to mend.
warnings.filterwarnings("ignore", module="pydantic")
litellm.telemetry = False
litellm.suppress_debug_info = True


def lite(bench, call, provider="openai", **changes):
    """One of litellm's functions, pointed at the gateway."""
    wish = {"model": f"{provider}/{bench.model}", "api_base": bench.base_url, "api_key": bench.key}
    return call(**(wish | {"num_retries": 0, "timeout": LIMIT_S} | changes))


def litellm_answers(bench):
    answer = lite(bench, litellm.completion, messages=PROMPT, max_tokens=16, temperature=0)
    assert answer.choices[0].message.content or answer.choices[0].message.reasoning_content, answer
    assert answer.usage.completion_tokens > 0, answer.usage
    stream = lite(
        bench, litellm.completion, messages=PROMPT, max_tokens=16, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == (answer.choices[0].message.content or ""), (text, answer)
    rebuilt = litellm.stream_chunk_builder(chunks)
    assert rebuilt.usage.completion_tokens == answer.usage.completion_tokens, rebuilt.usage


def litellm_calls_tools(bench):
    try:
        answer = lite(bench, litellm.completion, messages=PROMPT, tools=TOOLS, max_tokens=200)
    except litellm.BadRequestError as error:
        assert "tools" in str(error), error
        return
    for call in answer.choices[0].message.tool_calls or []:
        SEEN.add("litellm-calls")
        assert call.function.name, call


def litellm_goes_on_with_texts_and_responds(bench):
    text = lite(bench, litellm.text_completion, "text-completion-openai", prompt="Once upon a time", max_tokens=8)
    assert text.choices[0].text and text.usage.completion_tokens == 8, text
    response = lite(bench, litellm.responses, input="Tell me of a bird.", max_output_tokens=16)
    assert response.status in ("completed", "incomplete") and response.usage.output_tokens > 0, response
    events = [event.type for event in lite(bench, litellm.responses, input="Tell me.", max_output_tokens=8, stream=True)]
    assert events[0] == "response.created" and events[-1] in ("response.completed", "response.incomplete"), events


def litellm_knows_the_errors(bench):
    ask = lambda **changes: lite(bench, litellm.completion, **({"messages": PROMPT} | changes))
    refused(litellm.NotFoundError, lambda: ask(model="openai/no-such-model"))
    refused(litellm.AuthenticationError, lambda: ask(api_key="sk-starling-wrong"))
    refused(litellm.BadRequestError, lambda: ask(temperature=9))
    long = [{"role": "user", "content": "word " * 70_000}]
    error = refused(litellm.BadRequestError, lambda: ask(messages=long))
    assert isinstance(error, litellm.ContextWindowExceededError), type(error)


def chain(bench, **changes):
    options = {"model": bench.model, "base_url": bench.base_url, "api_key": bench.key, "max_retries": 0}
    return ChatOpenAI(**(options | {"timeout": LIMIT_S, "temperature": 0, "max_tokens": 16} | changes))


def langchain_answers(bench):
    question = [SystemMessage("You are brief."), HumanMessage("Tell me of a bird.")]
    for responses in (False, True):
        model = chain(bench, use_responses_api=responses, stream_usage=True)
        answer = model.invoke(question)
        assert isinstance(answer, AIMessage) and answer.usage_metadata["output_tokens"] > 0, answer
        chunks = list(model.stream(question))
        whole = sum(chunks[1:], chunks[0])
        assert whole.text == answer.text, (whole, answer)
        assert whole.usage_metadata["output_tokens"] == answer.usage_metadata["output_tokens"], whole


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


def langchain_calls_tools(bench):
    for responses in (False, True):
        model = chain(bench, use_responses_api=responses, max_tokens=200).bind_tools([weather])
        question = [HumanMessage("What is the weather in Zürich?")]
        try:
            answer = model.invoke(question)
        except openai.BadRequestError as error:
            assert error.param == "tools", error.body
            return
        for call in answer.tool_calls:
            SEEN.add("langchain-calls")
            assert call["name"] == "weather", call
        results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
        if results:
            assert model.invoke([*question, answer, *results]).usage_metadata["input_tokens"] > 0


def langchain_takes_forms(bench):
    for method in ("json_schema", "function_calling"):
        try:
            named = {"title": "where", "description": "A place.", **CITY}
            found = chain(bench, max_tokens=200).with_structured_output(named, method=method).invoke("Where?")
        except openai.BadRequestError as error:
            assert error.param in ("response_format", "tools", "tool_choice"), error.body
            continue
        except openai.LengthFinishReasonError:
            continue
        assert found is None or isinstance(found["city"], str), found


def langchain_goes_on_with_texts(bench):
    options = {"model": bench.model, "base_url": bench.base_url, "api_key": bench.key, "max_retries": 0}
    model = OpenAI(**options, temperature=0, max_tokens=8)
    whole = model.invoke("Once upon a time")
    assert whole and "".join(model.stream("Once upon a time")) == whole, whole


def litellm_embeds(bench):
    found = lite(bench, litellm.embedding, input=["one", "another"])
    assert len(found.data) == 2 and len(found.data[0]["embedding"]) > 0, found


def langchain_embeds_texts(bench):
    options = {"model": bench.model, "base_url": bench.base_url, "api_key": bench.key, "max_retries": 0}
    texts = OpenAIEmbeddings(**options, check_embedding_ctx_length=False)
    [one, other] = texts.embed_documents(["one", "another"])
    assert len(one) == len(other) and texts.embed_query("one")[:3] == one[:3]
    # By default this client cuts texts into another model's tokens: that is refused with what to do instead.
    encoding = tiktoken.Encoding("bytes", pat_str=".", mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={})
    tiktoken.encoding_for_model = tiktoken.get_encoding = lambda _: encoding
    error = refused(openai.BadRequestError, lambda: OpenAIEmbeddings(**options).embed_query("one"))
    assert error.param == "input" and "check_embedding_ctx_length" in error.message, error.body


CHECKS = [
    litellm_answers,
    litellm_calls_tools,
    litellm_goes_on_with_texts_and_responds,
    litellm_knows_the_errors,
    langchain_answers,
    langchain_calls_tools,
    langchain_takes_forms,
    langchain_goes_on_with_texts,
]

if __name__ == "__main__":
    main({"chat": CHECKS, "embedding": [litellm_embeds, langchain_embeds_texts]})
