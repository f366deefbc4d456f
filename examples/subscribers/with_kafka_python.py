"""A subscriber with kafka-python: `python with_kafka_python.py reader.json TOPIC copy.sqlite [IDLE_SECONDS]`."""

import json
import sys
from pathlib import Path

from copy_of_view import Copy
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import TopicAuthorizationFailedError


def subscribe(reader: dict[str, str], topic: str, copy: Copy, idle_seconds: float) -> None:
    """Take over what comes on a topic, until nothing came for so long."""
    consumer = KafkaConsumer(
        bootstrap_servers=reader["bootstrap_servers"],
        security_protocol=reader["security_protocol"],
        sasl_mechanism=reader["sasl_mechanism"],
        sasl_plain_username=reader["user_name"],
        sasl_plain_password=reader["password"],
        group_id=reader["group_prefix"] + "with-kafka-python",  # Kafka refuses groups of others
        enable_auto_commit=False,
        isolation_level="read_committed",  # whole batches, and none that was given up
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    try:
        partitions = consumer.partitions_for_topic(topic)
        if not partitions:
            raise TopicAuthorizationFailedError(topic)  # it is not granted, or not any more: this client finds it empty
        places = [TopicPartition(topic, number) for number in sorted(partitions)]
        consumer.assign(places)
        taken = copy.places()
        for place in places:
            consumer.seek(place, taken.get(place.partition, 0))
        while found := consumer.poll(timeout_ms=int(idle_seconds * 1000)):
            for records in found.values():
                copy.apply((one.partition, one.offset, one.key, one.value, one.headers) for one in records)
            # the copy is what counts: this only shows the node and its provider how far behind it is
            consumer.commit({TopicPartition(topic, number): OffsetAndMetadata(offset, "", -1) for number, offset in copy.places().items()})
    finally:
        consumer.close()


if __name__ == "__main__":
    file, topic, kept, *idle = sys.argv[1:]
    copy = Copy(Path(kept))
    subscribe(json.loads(Path(file).read_text()), topic, copy, float(idle[0]) if idle else 1e6)
    print(copy.summary())
