"""Timeouts and sizes that every client uses, with the reason for each value."""

ENVELOPE_BYTES = 64 * 1024
"""Upper bound on what an alert or a dead letter adds to the record that it carries."""
RECONNECT_MS = 1_000
"""Longest pause between two connection attempts. With the clients' defaults of 10 to 30 s a daemon was
disconnected for up to 35 s after its broker was back."""
SESSION_TIMEOUT_MS = 10_000
"""After this time without a heartbeat the group reassigns a member's partitions. The default of 45 s leaves a killed
instance's partitions unread for that long. Heartbeats (every 3 s) come from the client's own thread, so a busy main
loop does not miss them."""
METADATA_AGE_MS = 30_000
"""New partitions are discovered after at most this time; the default is 5 minutes."""
TRANSACTION_TIMEOUT_MS = 10_000
"""A killed instance leaves its transaction open, and `read_committed` readers stop there until it times out. So the
timeout is no longer than the time that the group needs to detect the failure (`SESSION_TIMEOUT_MS`)."""
FETCH_BYTES = 2 * 1024 * 1024
"""Largest fetch response. A response exists about three times in memory while it is parsed, so this decides how much
memory use varies. With the default of 50 MiB it grows with the number of partitions. Half of this value costs a tenth
more processor time; twice the value gains nothing."""
LARGEST_RESPONSE_BYTES = 100_000_000
"""What a broker's response may contain in addition to one record of the largest size."""
LINGER_MS = 1
"""How long a producer collects records before it sends them. A batch's outputs are sent together anyway, and a flush
sends them at once. With 5 ms a librdkafka batch of 7 ms waited another millisecond, 7 to 12 % of the rate; with 0 each
output wakes the sending thread."""
PROBE_AFTER_S = 4.0
"""A source that has received nothing for this long sends the brokers a request, to tell an idle topic from brokers that
do not respond. Longer than the time between two heartbeats."""
