"""A program that calls models with LiteLLM, and knows nothing of Drawdown: the environment does.

Run by itself, in the environment of LiteLLM, with the base URL of a model's API. It does the calls
named in a line of its standard input, says "done" when each has reported, and waits for more.
"""

import asyncio
import sys

import litellm
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

litellm.callbacks = ["openmeter"]
BASE = sys.argv[1]
WORDS = [{"role": "user", "content": "Say a few words."}]
USAGE = {"include_usage": True}


def said(user, **more):
    headers = {"x-call": user, **more.pop("headers", {})}
    return {
        "model": "openai/gpt-4o",
        "messages": WORDS,
        "user": user,
        "api_base": BASE,
        "api_key": "none",
        "extra_headers": headers,
        **more,
    }


async def plain(user):
    await litellm.acompletion(**said(user))


async def plain_thread(user):
    await asyncio.to_thread(lambda: litellm.completion(**said(user)))


async def streamed(user):
    async for _ in await litellm.acompletion(**said(user, stream=True, stream_options=USAGE)):
        pass


async def streamed_thread(user):
    def consume():
        for _ in litellm.completion(**said(user, stream=True, stream_options=USAGE)):
            pass

    await asyncio.to_thread(consume)


async def uncounted(user):
    """The model's API is not asked to say the usage: LiteLLM counts by itself."""
    async for _ in await litellm.acompletion(**said(user, stream=True)):
        pass


async def left(user):
    stream = await litellm.acompletion(**said(user, stream=True, stream_options=USAGE))
    async for _ in stream:
        break
    await stream.aclose()


async def retried(user):
    await litellm.acompletion(**said(user, num_retries=3, headers={"x-fails": "2"}))


async def fallen_back(user):
    await litellm.acompletion(
        **said(user, headers={"x-fails-for": "gpt-4o"}, fallbacks=["openai/gpt-4o-mini"])
    )


async def failed(user):
    try:
        await litellm.acompletion(**said(user, num_retries=1, headers={"x-fails": "9"}))
    except litellm.exceptions.InternalServerError:
        return
    raise AssertionError("the model answered")


async def nobody(user):
    """No user is named: the callback reports nothing."""
    await litellm.acompletion(**said(user) | {"user": None})


async def main():
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        for name in line.split():
            await globals()[name](name.replace("_", "-"))
        await GLOBAL_LOGGING_WORKER.flush()
        print("done", flush=True)


asyncio.run(main())
