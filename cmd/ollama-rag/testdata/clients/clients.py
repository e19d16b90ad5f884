"""The official clients of Ollama and OpenAI for Python, unmodified: python clients.py GATEWAY OLLAMA CHAT_MODEL EMBEDDING_MODEL.

What comes through the gateway must be what comes from Ollama itself. Fails with a traceback; prints a line a step.
"""

import sys

import ollama
import openai

gateway, direct, chat_model, embedding_model = sys.argv[1:]
messages = [{"role": "user", "content": "Say hello to Anna & <Bob>."}]
tools = [{"type": "function", "function": {"name": "now", "description": "the time", "parameters": {"type": "object", "properties": {}}}}]
steady = {"temperature": 0, "seed": 7, "num_predict": 12}


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) < 1e-4 for x, y in zip(a, b))


def ollama_client():
    ours, theirs = ollama.Client(host=gateway), ollama.Client(host=direct)
    names = [m.model for m in ours.list().models]
    assert names[: len(theirs.list().models)] == [m.model for m in theirs.list().models], names
    assert names[-1] == "builtin:latest", names
    print("list", names)
    assert ours.show(chat_model) == theirs.show(chat_model)
    assert "embedding" in ours.show("builtin").capabilities
    print("show")
    said = ours.chat(chat_model, messages, options=steady).message.content
    assert said == theirs.chat(chat_model, messages, options=steady).message.content, said
    print("chat", repr(said))
    pieces = list(ours.chat(chat_model, messages, stream=True, options=steady))
    assert "".join(p.message.content for p in pieces) == said and pieces[-1].done and len(pieces) > 2, pieces
    print("stream", len(pieces))
    written = ours.generate(chat_model, "Hello", options=steady).response
    assert written == theirs.generate(chat_model, "Hello", options=steady).response
    print("generate", repr(written))
    try:
        ours.chat(chat_model, messages, tools=tools)
        raise AssertionError("tools were taken")
    except ollama.ResponseError as e:
        assert e.status_code == 400 and "does not support tools" in e.error, e
    print("tools error")
    vectors = ours.embed(embedding_model, ["one", "two"]).embeddings
    assert all(map(near, vectors, theirs.embed(embedding_model, ["one", "two"]).embeddings))
    assert len(ours.embed("builtin", "one").embeddings[0]) == 384
    print("embed")
    stream = ours.chat(chat_model, messages, stream=True, options={"num_predict": 2000})
    next(stream)
    stream.close()
    print("abort")


def openai_client():
    ours = openai.OpenAI(base_url=gateway + "/v1", api_key="any", max_retries=0)
    theirs = openai.OpenAI(base_url=direct + "/v1", api_key="any")
    names = [m.id for m in ours.models.list()]
    assert names[-1] == "builtin:latest" and names[:-1] == [m.id for m in theirs.models.list()], names
    print("list")
    assert ours.models.retrieve(chat_model) == theirs.models.retrieve(chat_model)
    assert ours.models.retrieve("builtin").id == "builtin"
    print("show")
    steady = {"model": chat_model, "messages": messages, "temperature": 0, "seed": 7, "max_tokens": 12}
    said = ours.chat.completions.create(**steady).choices[0].message.content
    assert said == theirs.chat.completions.create(**steady).choices[0].message.content, said
    print("chat", repr(said))
    chunks = list(ours.chat.completions.create(**steady, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == said, chunks
    assert chunks[-1].usage.completion_tokens > 0
    print("stream", len(chunks))
    try:
        ours.chat.completions.create(model=chat_model, messages=messages, tools=tools)
        raise AssertionError("tools were taken")
    except openai.BadRequestError as e:
        assert "does not support tools" in e.message, e
    print("tools error")
    try:
        ours.chat.completions.create(model="nope", messages=messages)
        raise AssertionError("there is no such model")
    except openai.NotFoundError as e:
        assert "not found" in e.message, e
    vectors = [d.embedding for d in ours.embeddings.create(model=embedding_model, input=["one", "two"]).data]
    assert all(map(near, vectors, [d.embedding for d in theirs.embeddings.create(model=embedding_model, input=["one", "two"]).data]))
    assert len(ours.embeddings.create(model="builtin", input="one").data[0].embedding) == 384
    print("embed")
    stream = ours.chat.completions.create(model=chat_model, messages=messages, stream=True, max_tokens=2000)
    next(iter(stream))
    stream.close()
    print("abort")


def from_memory():
    """What is kept is said to every client in its own form, whichever of them asked first."""
    on = {"X-Ollama-Rag-Cache": "on", "Authorization": "Bearer any"}
    kept = on | {"Cache-Control": "only-if-cached"}
    whole = {"temperature": 0, "num_predict": 400}

    def chat(headers, text, stream):
        got = ollama.Client(host=gateway, headers=headers).chat(chat_model, [{"role": "user", "content": text}], stream=stream, options=whole)
        pieces = list(got) if stream else [got]
        assert pieces[-1].done and pieces[-1].done_reason == "stop" and pieces[-1].eval_count > 0 and pieces[-1].total_duration > 0, pieces[-1]
        return "".join(p.message.content for p in pieces), pieces[-1].eval_count

    def completion(headers, text, stream):
        client = openai.OpenAI(base_url=gateway + "/v1", api_key="any", max_retries=0, default_headers=headers)
        ask = {"model": chat_model, "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 400}
        if not stream:
            got = client.chat.completions.create(**ask)
            assert got.choices[0].finish_reason == "stop" and got.object == "chat.completion", got
            return got.choices[0].message.content, got.usage.completion_tokens
        chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop", chunks
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks[-1].usage.completion_tokens

    forms = [(ask, stream) for ask in (chat, completion) for stream in (False, True)]
    for i, (ask, stream) in enumerate(forms):
        text = f"hello number {i}"
        try:
            ask(kept, text, stream)
            raise AssertionError("nothing is kept yet")
        except (ollama.ResponseError, openai.APIStatusError) as e:
            assert e.status_code == 504, e
        said = ask(on, text, stream)
        for other, streamed in forms:
            assert other(kept, text, streamed) == said, (said, other(kept, text, streamed))
    ours, first = ollama.Client(host=gateway, headers=kept), ollama.Client(host=gateway, headers=on)
    said = first.generate(chat_model, "hello", options=whole)
    pieces = list(ours.generate(chat_model, "hello", stream=True, options=whole))
    assert "".join(p.response for p in pieces) == said.response and pieces[-1].context == said.context, (said, pieces)
    ask = {"model": chat_model, "prompt": "hello", "temperature": 0, "max_tokens": 400}
    ours, first = (openai.OpenAI(base_url=gateway + "/v1", api_key="any", max_retries=0, default_headers=h) for h in (kept, on))
    said = "".join(c.choices[0].text for c in first.completions.create(**ask, stream=True))
    assert ours.completions.create(**ask).choices[0].text == said
    print("from memory", repr(said))


ollama_client()
openai_client()
from_memory()
