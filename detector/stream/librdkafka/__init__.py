"""The stream over librdkafka (confluent-kafka): the optional, faster client."""
