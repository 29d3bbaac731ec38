-- The chat database: each user's own view of the rooms they are in, and the groups. Messages themselves live in Cassandra.
--
-- A room key names a room for everybody in it (that of a direct room is symmetric in its two users); a chat key names one
-- user's view of it. Both are made by the server from ids, never taken from a client.

CREATE TABLE chat (
  chat_key                  VARCHAR(64)   NOT NULL,
  user_id                   BIGINT        NOT NULL COMMENT 'Whose view it is.',
  room_key                  VARCHAR(64)   NOT NULL,
  room_type                 TINYINT       NOT NULL,  -- sun: enum=sun.v1.RoomType
  peer_user_id              BIGINT        NOT NULL DEFAULT 0 COMMENT 'The other user of a direct room.',
  chat_group_id             BIGINT        NOT NULL DEFAULT 0 COMMENT 'The group behind a group or broadcast room.',
  tag_id                    BIGINT        NOT NULL DEFAULT 0 COMMENT 'The hashtag whose room it is.',
  title                     VARCHAR(128)  NOT NULL DEFAULT '' COMMENT 'The own name that the user gave it.',
  pinned_ms                 BIGINT        NOT NULL DEFAULT 0 COMMENT 'When it was pinned to the top; 0 while it is not.',
  unseen                    INT           NOT NULL DEFAULT 0 COMMENT 'Messages not read yet.',
  seq                       BIGINT        NOT NULL DEFAULT 0 COMMENT 'The dense number of the last message the user may see.',
  last_message_id           BIGINT        NOT NULL DEFAULT 0,
  my_seen_message_id        BIGINT        NOT NULL DEFAULT 0 COMMENT 'The user has read up to here.',
  my_delivered_message_id   BIGINT        NOT NULL DEFAULT 0 COMMENT 'A device of the user has received up to here.',
  peer_seen_message_id      BIGINT        NOT NULL DEFAULT 0 COMMENT 'The peer, or anybody else in the room, has read up to here.',
  peer_delivered_message_id BIGINT        NOT NULL DEFAULT 0 COMMENT 'A device of theirs has received up to here.',
  is_active                 BOOL          NOT NULL DEFAULT TRUE COMMENT 'Shown in the list of chats.',
  is_left                   BOOL          NOT NULL DEFAULT FALSE,
  is_kicked                 BOOL          NOT NULL DEFAULT FALSE,
  is_creator                BOOL          NOT NULL DEFAULT FALSE,
  is_admin                  BOOL          NOT NULL DEFAULT FALSE,
  is_deactivated            BOOL          NOT NULL DEFAULT FALSE COMMENT 'Can be read but not written to.',
  is_muted                  BOOL          NOT NULL DEFAULT FALSE,
  mute_until_ms             BIGINT        NOT NULL DEFAULT 0 COMMENT '0 with is_muted: for ever.',
  version                   BIGINT        NOT NULL COMMENT 'The number of its last change among all changes of the chats of this user.',
  order_id                  BIGINT        NOT NULL COMMENT 'The id of what moved it up last, a message as a rule; grows with time, so it orders the list.',
  draft_text                VARCHAR(4096) NOT NULL DEFAULT '',
  draft_reply_to            BIGINT        NOT NULL DEFAULT 0 COMMENT 'The message that the draft answers.',
  created_ms                BIGINT        NOT NULL,
  PRIMARY KEY (chat_key),
  UNIQUE KEY chat_by_user_room (user_id, room_key),
  KEY chat_by_user (user_id, is_active, order_id),
  KEY chat_by_pinned (user_id, pinned_ms),
  KEY chat_by_version (user_id, version),
  KEY chat_by_room (room_key, user_id)
) COMMENT='A room as one of its users sees it; each of them has a row of their own.';

CREATE TABLE chat_deleted (
  chat_key   VARCHAR(64) NOT NULL,
  user_id    BIGINT      NOT NULL,
  room_key   VARCHAR(64) NOT NULL,
  message_id BIGINT      NOT NULL DEFAULT 0 COMMENT 'The last message there was; the user never sees it or earlier ones again.',
  version    BIGINT      NOT NULL COMMENT 'The number of the deletion among all changes of the chats of this user.',
  deleted_ms BIGINT      NOT NULL,
  PRIMARY KEY (chat_key),
  KEY chat_deleted_by_version (user_id, version),
  KEY chat_deleted_by_deleted (deleted_ms)
) COMMENT='A chat that its user has deleted, for the other devices of the user to follow.';

CREATE TABLE chat_last_message (
  chat_key   VARCHAR(64) NOT NULL,
  user_id    BIGINT      NOT NULL,
  message_id BIGINT      NOT NULL,
  message    BLOB        NOT NULL COMMENT 'The message as protobuf.',
  updated_ms BIGINT      NOT NULL,
  PRIMARY KEY (chat_key),
  KEY chat_last_message_by_user (user_id, message_id)
) COMMENT='The last message of a chat in full, so that the list of chats is one query.';

CREATE TABLE chat_user_version (
  user_id    BIGINT NOT NULL,
  version    BIGINT NOT NULL DEFAULT 0 COMMENT 'The number of the last change; dense from 1.',
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY (user_id)
) COMMENT='Numbers the changes of all chats of a user: a client that knows a number asks for what came after it.';

-- sun: cache ttl=1m
CREATE TABLE chat_group (
  chat_group_id      BIGINT       NOT NULL,
  group_key          VARCHAR(32)  NOT NULL COMMENT 'The name of the group in links; not to be guessed from others.',
  room_key           VARCHAR(64)  NOT NULL,
  group_name         VARCHAR(128) NOT NULL,
  user_name          VARCHAR(32)  NOT NULL DEFAULT '' COMMENT 'The public name as its creator spells it; empty for a group without one.',
  user_name_lower    VARCHAR(32)  DEFAULT NULL COMMENT 'The public name in lower case; NULL for a group without one.',
  about              VARCHAR(500) NOT NULL DEFAULT '',
  avatar_file_ref    BIGINT       NOT NULL DEFAULT 0,
  creator_user_id    BIGINT       NOT NULL,
  tag_id             BIGINT       NOT NULL DEFAULT 0 COMMENT 'The hashtag whose group it is.',
  privacy            TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who may find and join it.',  -- sun: enum=sun.v1.Privacy
  is_super_group     BOOL         NOT NULL DEFAULT FALSE COMMENT 'Too large for a row of state for each member and message.',
  is_history_visible BOOL         NOT NULL DEFAULT TRUE COMMENT 'New members see what was said before them.',
  is_muted           BOOL         NOT NULL DEFAULT FALSE COMMENT 'Only admins may write.',
  is_banned          BOOL         NOT NULL DEFAULT FALSE,
  is_deleted         BOOL         NOT NULL DEFAULT FALSE,
  seq                BIGINT       NOT NULL DEFAULT 0 COMMENT 'The dense number of the last message.',
  last_message_id    BIGINT       NOT NULL DEFAULT 0,
  pinned_message_id  BIGINT       NOT NULL DEFAULT 0 COMMENT 'The one shown on top; all of them are in chat_group_pinned_message.',
  invite_key         VARCHAR(32)  DEFAULT NULL COMMENT 'The secret part of the invite link; NULL while there is none.',
  members            BIGINT       NOT NULL DEFAULT 0 COMMENT 'All of them, admins and moderators included.',
  admins             BIGINT       NOT NULL DEFAULT 0,
  moderators         BIGINT       NOT NULL DEFAULT 0,
  created_ms         BIGINT       NOT NULL,
  updated_ms         BIGINT       NOT NULL DEFAULT 0,
  PRIMARY KEY (chat_group_id),
  UNIQUE KEY chat_group_by_group_key (group_key),
  UNIQUE KEY chat_group_by_room (room_key),
  UNIQUE KEY chat_group_by_user_name (user_name_lower),
  UNIQUE KEY chat_group_by_invite_key (invite_key),
  KEY chat_group_by_creator (creator_user_id, chat_group_id),
  KEY chat_group_by_tag (tag_id, chat_group_id)
) COMMENT='A group or a broadcast channel.';

CREATE TABLE chat_group_member (
  chat_group_id    BIGINT  NOT NULL,
  user_id          BIGINT  NOT NULL,
  role             TINYINT NOT NULL DEFAULT 1 COMMENT '1 member, 2 moderator, 3 admin, 4 creator.',
  added_by_user_id BIGINT  NOT NULL DEFAULT 0 COMMENT '0 for one who joined alone.',
  created_ms       BIGINT  NOT NULL,
  PRIMARY KEY (chat_group_id, user_id),
  KEY chat_group_member_by_role (chat_group_id, role, user_id),
  KEY chat_group_member_by_user (user_id, chat_group_id)
) COMMENT='A user is in a group; who has left has no row.';

CREATE TABLE chat_group_ordered_user (
  chat_group_id BIGINT NOT NULL,
  order_id      BIGINT NOT NULL COMMENT 'Grows with time: the id of what brought the member to the front.',
  user_id       BIGINT NOT NULL,
  PRIMARY KEY (chat_group_id, order_id),
  UNIQUE KEY chat_group_ordered_user_by_group_user (chat_group_id, user_id)
) COMMENT='The members of a group in the order they are shown: who was active last comes first.';

CREATE TABLE chat_group_pinned_message (
  chat_group_id     BIGINT NOT NULL,
  message_id        BIGINT NOT NULL,
  pinned_by_user_id BIGINT NOT NULL,
  pinned_ms         BIGINT NOT NULL,
  PRIMARY KEY (chat_group_id, message_id),
  KEY chat_group_pinned_message_by_pinned (chat_group_id, pinned_ms)
) COMMENT='A message kept in sight of a group.';
