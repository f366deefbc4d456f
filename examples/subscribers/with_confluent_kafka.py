"""A subscriber with confluent-kafka (librdkafka): `python with_confluent_kafka.py reader.json TOPIC copy.sqlite [IDLE_SECONDS]`."""

import json
import sys
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from copy_of_view import Copy


def subscribe(reader: dict[str, str], topic: str, copy: Copy, idle_seconds: float) -> None:
    """Take over what comes on a topic, until nothing came for so long."""
    consumer = Consumer(
        {
            "bootstrap.servers": reader["bootstrap_servers"],
            "security.protocol": reader["security_protocol"],
            "sasl.mechanism": reader["sasl_mechanism"],
            "sasl.username": reader["user_name"],
            "sasl.password": reader["password"],
            "group.id": reader["group_prefix"] + "with-confluent-kafka",  # Kafka refuses groups of others
            "isolation.level": "read_committed",  # whole batches, and none that was given up
            "enable.auto.commit": False,
        }
    )
    try:
        taken = copy.places()
        found = consumer.list_topics(topic, timeout=30).topics[topic]
        if found.error:
            raise KafkaException(found.error)  # it is not granted, or not any more
        consumer.assign([TopicPartition(topic, number, taken.get(number, OFFSET_BEGINNING)) for number in found.partitions])
        while messages := consumer.consume(1000, timeout=idle_seconds):
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())  # also when the grant has ended
            copy.apply((one.partition(), one.offset(), one.key(), one.value(), one.headers()) for one in messages)
            # the copy is what counts: this only shows the node and its provider how far behind it is
            consumer.commit(offsets=[TopicPartition(topic, *place) for place in copy.places().items()], asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    file, topic, kept, *idle = sys.argv[1:]
    copy = Copy(Path(kept))
    subscribe(json.loads(Path(file).read_text()), topic, copy, float(idle[0]) if idle else 1e6)
    print(copy.summary())
