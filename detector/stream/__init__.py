"""Reading and writing Kafka, and the delivery guarantee between the two."""
