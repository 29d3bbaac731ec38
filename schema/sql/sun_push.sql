-- The database of pushes that wait for a device to come back and acknowledge them.

CREATE TABLE push_chat (
  push_chat_id    BIGINT      NOT NULL,
  to_user_id      BIGINT      NOT NULL,
  push_type       TINYINT     NOT NULL COMMENT '1 rooms changed, 2 chat views, 3 drop what you keep of these rooms, 4 of all chats, 5 of all social.',
  room_key        VARCHAR(64) NOT NULL DEFAULT '',
  chat_key        VARCHAR(64) NOT NULL DEFAULT '',
  seq             BIGINT      NOT NULL DEFAULT 0 COMMENT 'The dense number of the last message of the room.',
  unseen          INT         NOT NULL DEFAULT 0 COMMENT 'Messages not read yet.',
  from_message_id BIGINT      NOT NULL DEFAULT 0 COMMENT 'The range of messages it speaks of, both ends included.',
  to_message_id   BIGINT      NOT NULL DEFAULT 0,
  message         BLOB        DEFAULT NULL COMMENT 'The message as protobuf; NULL where the push carries none.',
  created_ms      BIGINT      NOT NULL,
  PRIMARY KEY (push_chat_id),
  KEY push_chat_by_user (to_user_id, push_chat_id),
  KEY push_chat_by_room (to_user_id, room_key, push_chat_id),
  KEY push_chat_by_created (created_ms)
) COMMENT='A push about chats for one user, kept until every device has acknowledged it or it is too old to matter.';
