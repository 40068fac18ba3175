"""A support agent as one writes it with Pydantic AI: for every ticket it answers with the reference of the order.

It knows nothing of tracegrad. OPENAI_BASE_URL says where its model is; opentelemetry-instrument and the OTEL_*
variables send its spans:

    opentelemetry-instrument python agent.py tickets.txt
"""

import asyncio
import sys

from pydantic_ai import Agent, ModelRequest, ModelResponse, TextPart, UserPromptPart

EXAMPLES = [
    ("The fee on order 12001 is wrong.", "ORD-12001"),
    ("My parcel 73902 is late, call 555 8120.", "ORD-73902"),
]

Agent.instrument_all()
agent = Agent(
    "openai-chat:SmolLM2-135M-Instruct",
    name="desk",
    instructions="Reply with the order number.",
    model_settings={"temperature": 0.7, "max_tokens": 12},
)
history = [
    message
    for question, answer in EXAMPLES
    for message in (ModelRequest(parts=[UserPromptPart(question)]), ModelResponse(parts=[TextPart(answer)]))
]


async def main(tickets: list[str]) -> None:
    """Answers all tickets, sixteen at a time."""
    room = asyncio.Semaphore(16)

    async def answer(ticket: str) -> None:
        async with room:
            await agent.run(ticket, message_history=history)

    await asyncio.gather(*map(answer, tickets))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        asyncio.run(main(file.read().splitlines()))
