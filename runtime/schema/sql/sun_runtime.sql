-- The framework's own tables: who may make ids, the way of an event from its transaction to its consumers, push counters.

CREATE TABLE node_lease (
  node       SMALLINT     NOT NULL COMMENT '0 to 1023: the node part of an id.',
  holder     VARCHAR(128) NOT NULL COMMENT 'The process, by a name it made up at start; empty once it has let go.',
  expires_ms BIGINT       NOT NULL COMMENT 'Ids of milliseconds before this one are the holder''s; the next holder starts from here, so it never falls below an id in use.',
  PRIMARY KEY (node),
  KEY node_lease_by_expires (expires_ms)
) COMMENT='Who makes ids under a node number, and up to which millisecond. It is renewed ahead of use, so that neither a paused process nor a clock that steps can make an id twice.';

CREATE TABLE outbox (
  append_id  BIGINT       NOT NULL AUTO_INCREMENT COMMENT 'Orders the events of one transaction. Not the offset: a lower one may commit after a higher one.',
  shard      SMALLINT     NOT NULL COMMENT 'The hash of the key, modulo the shards: the events of one key stay in order.',
  event_type INT          NOT NULL COMMENT 'The stable number of the type in the generated registry.',
  event_key  VARCHAR(128) NOT NULL,
  payload    MEDIUMBLOB   NOT NULL COMMENT 'The event as protobuf.',
  created_ms BIGINT       NOT NULL,
  PRIMARY KEY (append_id),
  KEY outbox_by_shard (shard, append_id)
) COMMENT='Events on their way into the log, appended in the transaction of the rows they speak of. The sequencer takes rows out by their presence, not from a cursor, so a late commit is never skipped.';

CREATE TABLE log_shard (
  shard       SMALLINT     NOT NULL,
  epoch       BIGINT       NOT NULL COMMENT 'Changes when the log is rebuilt: offsets of another epoch mean nothing.',
  next_offset BIGINT       NOT NULL DEFAULT 0 COMMENT 'Offsets are dense and follow the order of commits.',
  holder      VARCHAR(128) NOT NULL DEFAULT '' COMMENT 'The process that sequences; empty while none does.',
  fence       BIGINT       NOT NULL DEFAULT 0 COMMENT 'Grows with each new holder; a write under an older one is refused.',
  expires_ms  BIGINT       NOT NULL DEFAULT 0,
  PRIMARY KEY (shard)
) COMMENT='One shard of the event log: its one sequencer and the next offset it gives.';

CREATE TABLE log_segment (
  shard        SMALLINT   NOT NULL,
  first_offset BIGINT     NOT NULL,
  events       INT        NOT NULL COMMENT 'How many it holds; the next segment starts at first_offset + events.',
  epoch        BIGINT     NOT NULL,
  codec        TINYINT    NOT NULL DEFAULT 0 COMMENT 'How the payload is packed: 0 plain.',
  checksum     BIGINT     NOT NULL COMMENT 'Of the payload.',
  payload      MEDIUMBLOB NOT NULL COMMENT 'The events, length before each.',
  created_ms   BIGINT     NOT NULL COMMENT 'Of the sequencer; never falls within a shard.',
  PRIMARY KEY (shard, first_offset),
  KEY log_segment_by_created (shard, created_ms)
) COMMENT='The event log itself, many events a row; cut by age and size, never ahead of a living consumer group.';

CREATE TABLE consumer_offset (
  consumer_group VARCHAR(64)  NOT NULL,
  shard          SMALLINT     NOT NULL,
  epoch          BIGINT       NOT NULL,
  next_offset    BIGINT       NOT NULL DEFAULT 0 COMMENT 'The first event without its effect yet.',
  holder         VARCHAR(128) NOT NULL DEFAULT '' COMMENT 'The process that consumes this shard for the group; empty while none does.',
  fence          BIGINT       NOT NULL DEFAULT 0 COMMENT 'Grows with each new holder; a write under an older one is refused.',
  expires_ms     BIGINT       NOT NULL DEFAULT 0,
  updated_ms     BIGINT       NOT NULL,
  PRIMARY KEY (consumer_group, shard),
  KEY consumer_offset_by_shard (shard, next_offset)
) COMMENT='How far a consumer group has come in a shard, moved in the transaction of the effect, so that each event takes effect once.';

CREATE TABLE token_bucket (
  limit_name VARCHAR(64) NOT NULL COMMENT 'As the schema declares it.',
  bucket     BINARY(16)  NOT NULL COMMENT 'BLAKE2b of whose it is: addresses and telephone numbers stand nowhere.',
  full_us    BIGINT      NOT NULL COMMENT 'When the bucket is full again, in microseconds since 1970; a row whose time has come is as good as none.',
  PRIMARY KEY (limit_name, bucket),
  KEY token_bucket_by_full (full_us)
) COMMENT='Tokens of rate limits, where processes share them.';

CREATE TABLE push_counter (
  user_id      BIGINT NOT NULL,
  epoch        BIGINT NOT NULL DEFAULT 1 COMMENT 'Changes when the counting starts over: a client of another epoch must reload.',
  next_counter BIGINT NOT NULL DEFAULT 1,
  updated_ms   BIGINT NOT NULL DEFAULT 0 COMMENT 'By the clock of the writer. Other processes look for what is new here, a little into the past.',
  PRIMARY KEY (user_id),
  KEY push_counter_by_updated (updated_ms)
) COMMENT='Numbers the pushes to a user densely, so that a client sees what it missed and resumes from there. The row is locked from the number to the commit, so that numbers follow the order of commits.';

CREATE TABLE push_entry (
  user_id      BIGINT       NOT NULL,
  counter      BIGINT       NOT NULL,
  message_type VARCHAR(255) NOT NULL COMMENT 'The full name of the message.',
  payload      MEDIUMBLOB   NOT NULL COMMENT 'The message as protobuf.',
  created_ms   BIGINT       NOT NULL,
  PRIMARY KEY (user_id, counter),
  KEY push_entry_by_created (created_ms)
) COMMENT='Pushes that may have to be sent again, for some days.';

CREATE TABLE call_result (
  user_id    BIGINT      NOT NULL COMMENT '0 for anonymous callers.',
  call_key   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What the client calls this call by, in every attempt.',
  method     VARCHAR(255) NOT NULL,
  digest     BINARY(16)  NOT NULL COMMENT 'Of the request: one key stands for one request.',
  state      TINYINT     NOT NULL COMMENT '0 it runs, 1 it ended, 2 nobody knows how it ended.',
  code       SMALLINT    NOT NULL DEFAULT 0 COMMENT 'Of the error it ended with; 0 for none.',
  result     MEDIUMBLOB  COMMENT 'The response, or the error, as protobuf.',
  expires_ms BIGINT      NOT NULL COMMENT 'While it runs: when the process that runs it must have ended it.',
  created_ms BIGINT      NOT NULL,
  PRIMARY KEY (user_id, call_key),
  KEY call_result_by_created (created_ms)
) COMMENT='How calls with a key ended, so that another attempt gets the result of the first.';
