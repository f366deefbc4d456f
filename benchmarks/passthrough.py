"""The yardstick: an HTTP server that puts each line of the body on Kafka and does nothing else.

`python -m benchmarks.passthrough PORT TOPIC`, with PASSTHROUGH_KAFKA as JSON in the environment
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings

_BATCH_BYTES = 512 * 1024


def serve(port: int, kafka: KafkaSettings, topic: str) -> None:
    """Serve until killed; PUT / answers when every line is acknowledged by all in-sync replicas."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, AIOKafkaProducer]]:
        producer = AIOKafkaProducer(
            **broker.options(kafka), acks="all", enable_idempotence=True, compression_type="zstd", max_batch_size=_BATCH_BYTES
        )
        await producer.start()
        yield {"producer": producer}
        await producer.stop()

    async def put(request: Request) -> JSONResponse:
        producer: AIOKafkaProducer = request.state.producer
        partitions = sorted(await producer.partitions_for(topic))
        rows = batches = 0
        pending: list[asyncio.Future[object]] = []
        rest = b""
        builder = producer.create_batch()
        async for chunk in request.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                while builder.append(key=None, value=line, timestamp=None) is None:
                    pending.append(await producer.send_batch(builder, topic, partition=partitions[batches % len(partitions)]))
                    batches += 1
                    builder = producer.create_batch()
                rows += 1
        pending.append(await producer.send_batch(builder, topic, partition=partitions[batches % len(partitions)]))
        await asyncio.gather(*pending)
        return JSONResponse({"rows": rows})

    app = Starlette(routes=[Route("/", put, methods=["PUT"])], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    uvloop.run(server.serve())


if __name__ == "__main__":
    serve(int(sys.argv[1]), KafkaSettings.model_validate_json(os.environ["PASSTHROUGH_KAFKA"]), sys.argv[2])
