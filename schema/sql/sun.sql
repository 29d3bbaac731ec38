-- The social database: accounts, sessions, posts, and everything that people do to posts and to one another.
--
-- Ids are 64 bits and grow with time, so that a key that ends in an id pages from new to old. Times end in _ms and count
-- milliseconds since 1970 UTC; 0 stands for "never". Ids of other rows are 0 where there is none. Text compares by code
-- point, so names are searched and kept unique by a column in lower case. No foreign keys: a feed, a log and a tombstone
-- outlive the rows they name, and the rows of one user may come to live on another server than those of the next.

-- sun: cache ttl=30s
-- sun: events insert,update,delete
CREATE TABLE user (
  user_id          BIGINT       NOT NULL,
  user_name        VARCHAR(32)  NOT NULL COMMENT 'As its owner spells it.',
  user_name_lower  VARCHAR(32)  NOT NULL COMMENT 'The name in lower case: what is unique, and what is searched.',
  first_name       VARCHAR(64)  NOT NULL DEFAULT '',
  first_name_lower VARCHAR(64)  NOT NULL DEFAULT '' COMMENT 'For the search by prefix.',
  last_name        VARCHAR(64)  NOT NULL DEFAULT '',
  last_name_lower  VARCHAR(64)  NOT NULL DEFAULT '' COMMENT 'For the search by prefix.',
  about            VARCHAR(500) NOT NULL DEFAULT '',
  avatar_file_ref  BIGINT       NOT NULL DEFAULT 0,
  phone            VARCHAR(16)  DEFAULT NULL COMMENT 'In E.164 form, confirmed. NULL once a deleted account has given its number up.',
  email            VARCHAR(254) NOT NULL DEFAULT '',
  password_hash    VARCHAR(255) NOT NULL COMMENT 'argon2id, in its encoded form.',
  level            TINYINT      NOT NULL DEFAULT 1,  -- sun: enum=sun.v1.UserLevel
  is_verified      BOOL         NOT NULL DEFAULT FALSE,
  is_banned        BOOL         NOT NULL DEFAULT FALSE,
  is_deleted       BOOL         NOT NULL DEFAULT FALSE,
  profile_privacy  TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who sees the profile and the posts.',  -- sun: enum=sun.v1.Privacy
  online_privacy   TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who sees when the user was online.',  -- sun: enum=sun.v1.Privacy
  call_privacy     TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who may call the user.',  -- sun: enum=sun.v1.Privacy
  group_privacy    TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who may add the user to a group.',  -- sun: enum=sun.v1.Privacy
  seen_privacy     TINYINT      NOT NULL DEFAULT 1 COMMENT 'Who sees that the user has read a message.',  -- sun: enum=sun.v1.Privacy
  post_seq         BIGINT       NOT NULL DEFAULT 0 COMMENT 'The number of the last post ever added; never falls.',
  followers        BIGINT       NOT NULL DEFAULT 0,
  following        BIGINT       NOT NULL DEFAULT 0 COMMENT 'How many this user follows.',
  posts            BIGINT       NOT NULL DEFAULT 0 COMMENT 'Posts that stand and are not archived, like the counts by kind.',
  media            BIGINT       NOT NULL DEFAULT 0 COMMENT 'Posts with photos, videos or GIFs.',
  photos           BIGINT       NOT NULL DEFAULT 0,
  videos           BIGINT       NOT NULL DEFAULT 0,
  gifs             BIGINT       NOT NULL DEFAULT 0,
  audios           BIGINT       NOT NULL DEFAULT 0,
  files            BIGINT       NOT NULL DEFAULT 0,
  likes            BIGINT       NOT NULL DEFAULT 0 COMMENT 'Posts this user likes.',
  reshares         BIGINT       NOT NULL DEFAULT 0 COMMENT 'Posts this user has reshared.',
  last_post_ms     BIGINT       NOT NULL DEFAULT 0,
  created_ms       BIGINT       NOT NULL,
  version_ms       BIGINT       NOT NULL DEFAULT 0 COMMENT 'When what others see of the user last changed.',
  PRIMARY KEY (user_id),
  UNIQUE KEY user_by_user_name (user_name_lower),
  UNIQUE KEY user_by_phone (phone),
  KEY user_by_first_name (first_name_lower),
  KEY user_by_last_name (last_name_lower)
) COMMENT='An account: its names, what it lets others see, and its counters.';

-- sun: events delete
CREATE TABLE session (
  session_id  BIGINT       NOT NULL,
  user_id     BIGINT       NOT NULL,
  token_hash  BINARY(32)   NOT NULL COMMENT 'SHA-256 of the token; the token itself is with the client alone.',
  device      VARCHAR(64)  NOT NULL DEFAULT '' COMMENT 'What the device calls itself; proves nothing.',
  device_name VARCHAR(128) NOT NULL DEFAULT '' COMMENT 'For people: the model of the device.',
  app_version VARCHAR(64)  NOT NULL DEFAULT '' COMMENT 'The client program and its version.',
  last_ip     VARCHAR(45)  NOT NULL DEFAULT '',
  active_ms   BIGINT       NOT NULL COMMENT 'The last use, to the minute or so.',
  expires_ms  BIGINT       NOT NULL COMMENT 'The token is worth nothing from here on.',
  created_ms  BIGINT       NOT NULL,
  PRIMARY KEY (session_id),
  UNIQUE KEY session_by_token_hash (token_hash),
  KEY session_by_user (user_id, session_id),
  KEY session_by_device (device, session_id),
  KEY session_by_expires (expires_ms)
) COMMENT='One sign-in of a user on a device; a session that was revoked or signed out is deleted.';

CREATE TABLE sms (
  sms_id       BIGINT      NOT NULL,
  nonce_hash   BINARY(32)  NOT NULL COMMENT 'SHA-256 of the nonce that the client must show beside the code.',
  phone        VARCHAR(16) NOT NULL COMMENT 'In E.164 form.',
  country      VARCHAR(2)  NOT NULL DEFAULT '' COMMENT 'ISO 3166-1, from the number.',
  carrier      VARCHAR(64) NOT NULL DEFAULT '',
  device       VARCHAR(64) NOT NULL COMMENT 'The device that asked; only it may confirm and use the ticket.',
  address      VARCHAR(45) NOT NULL COMMENT 'The network address that asked.',
  code_hash    BINARY(32)  NOT NULL COMMENT 'The code under a keyed hash; never in clear.',
  attempts     INT         NOT NULL DEFAULT 0 COMMENT 'Codes tried so far, right or wrong.',
  created_ms   BIGINT      NOT NULL,
  expires_ms   BIGINT      NOT NULL COMMENT 'The code is worth nothing from here on.',
  sent_ms      BIGINT      NOT NULL DEFAULT 0 COMMENT 'When the carrier took the message; 0 while it has not.',
  confirmed_ms BIGINT      NOT NULL DEFAULT 0 COMMENT 'When the right code came; 0 while it has not.',
  ticket_hash  BINARY(32)  DEFAULT NULL COMMENT 'SHA-256 of the ticket that the right code was exchanged for.',
  ticket_expires_ms BIGINT NOT NULL DEFAULT 0,
  signed_in_ms BIGINT      NOT NULL DEFAULT 0 COMMENT 'When the ticket was spent on a sign-in; 0 while it was not.',
  signed_up_ms BIGINT      NOT NULL DEFAULT 0 COMMENT 'When the ticket was spent on a new account; 0 while it was not.',
  PRIMARY KEY (sms_id),
  UNIQUE KEY sms_by_nonce_hash (nonce_hash),
  UNIQUE KEY sms_by_ticket_hash (ticket_hash),
  KEY sms_by_phone (phone, created_ms),
  KEY sms_by_address (address, created_ms),
  KEY sms_by_device (device, created_ms),
  KEY sms_by_expires (expires_ms)
) COMMENT='A confirm code sent to a phone number, what became of it, and what the limits on sending count.';

-- sun: cache ttl=1m
-- sun: events insert,update,delete
CREATE TABLE post (
  post_id           BIGINT      NOT NULL,
  user_id           BIGINT      NOT NULL,
  post_key          VARCHAR(16) NOT NULL COMMENT 'The name of the post in public links; not to be guessed from others.',
  post_type         TINYINT     NOT NULL,  -- sun: enum=sun.v1.PostType
  text              TEXT        NOT NULL,
  rich_text         MEDIUMTEXT  DEFAULT NULL COMMENT 'The text with its marks, as JSON; NULL where the text is plain.',
  post_media_id     BIGINT      NOT NULL DEFAULT 0 COMMENT 'The first of its media.',
  file_ref          BIGINT      NOT NULL DEFAULT 0 COMMENT 'The file of the first of its media.',
  media_count       INT         NOT NULL DEFAULT 0,
  shared_to         TINYINT     NOT NULL DEFAULT 1 COMMENT 'Who may see it, as far as the profile lets them.',  -- sun: enum=sun.v1.Privacy
  comments_disabled BOOL        NOT NULL DEFAULT FALSE,
  is_archived       BOOL        NOT NULL DEFAULT FALSE COMMENT 'Only its owner sees it, until it is brought back.',
  via               VARCHAR(64) NOT NULL DEFAULT '' COMMENT 'The program it was written with.',
  seq               BIGINT      NOT NULL DEFAULT 0 COMMENT 'The number of this post among those of its user, from 1.',
  comments          BIGINT      NOT NULL DEFAULT 0,
  likes             BIGINT      NOT NULL DEFAULT 0,
  views             BIGINT      NOT NULL DEFAULT 0,
  reshares          BIGINT      NOT NULL DEFAULT 0,
  chat_shares       BIGINT      NOT NULL DEFAULT 0 COMMENT 'How often it was sent on in a chat.',
  edited_ms         BIGINT      NOT NULL DEFAULT 0,
  created_ms        BIGINT      NOT NULL,
  PRIMARY KEY (post_id),
  UNIQUE KEY post_by_post_key (post_key),
  KEY post_by_user (user_id, is_archived, post_id),
  KEY post_by_type (user_id, is_archived, post_type, post_id),
  KEY post_by_archived (is_archived, post_id)
) COMMENT='A post of one user, with its counters; pages of archived and of standing posts never mix.';

CREATE TABLE post_media (
  post_media_id  BIGINT      NOT NULL,
  post_id        BIGINT      NOT NULL,
  user_id        BIGINT      NOT NULL,
  position       SMALLINT    NOT NULL DEFAULT 0 COMMENT 'Its place within the post, from 0.',
  media_type     TINYINT     NOT NULL,  -- sun: enum=sun.v1.PostType
  file_ref       BIGINT      NOT NULL,
  width          INT         NOT NULL DEFAULT 0 COMMENT 'Pixels; 0 for what has none.',
  height         INT         NOT NULL DEFAULT 0,
  size_bytes     BIGINT      NOT NULL DEFAULT 0,
  duration_ms    BIGINT      NOT NULL DEFAULT 0,
  extension      VARCHAR(16) NOT NULL DEFAULT '' COMMENT 'Without the dot.',
  content_hash   VARBINARY(32) NOT NULL DEFAULT '' COMMENT 'BLAKE3 of the file.',
  dominant_color INT         NOT NULL DEFAULT 0 COMMENT '0xRRGGBB, to show while the file loads.',
  created_ms     BIGINT      NOT NULL,
  PRIMARY KEY (post_media_id),
  UNIQUE KEY post_media_by_file_ref (file_ref),
  KEY post_media_by_post (post_id, position),
  KEY post_media_by_user (user_id, post_media_id)
) COMMENT='One picture, video, sound or file of a post.';

CREATE TABLE post_link (
  post_link_id BIGINT        NOT NULL,
  post_id      BIGINT        NOT NULL,
  position     SMALLINT      NOT NULL DEFAULT 0 COMMENT 'Its place within the post, from 0.',
  url          VARCHAR(2048) NOT NULL,
  title        VARCHAR(255)  NOT NULL DEFAULT '',
  description  VARCHAR(1000) NOT NULL DEFAULT '',
  image_file_ref BIGINT      NOT NULL DEFAULT 0,
  created_ms   BIGINT        NOT NULL,
  PRIMARY KEY (post_link_id),
  KEY post_link_by_post (post_id, position)
) COMMENT='A web page that a post links to, with its preview.';

CREATE TABLE post_promoted (
  post_promoted_id BIGINT      NOT NULL,
  post_id          BIGINT      NOT NULL,
  user_id          BIGINT      NOT NULL COMMENT 'Who promotes it, not always its author.',
  package_name     VARCHAR(32) NOT NULL COMMENT 'What was bought.',
  created_ms       BIGINT      NOT NULL,
  ends_ms          BIGINT      NOT NULL,
  PRIMARY KEY (post_promoted_id),
  KEY post_promoted_by_post (post_id, ends_ms),
  KEY post_promoted_by_user (user_id, post_promoted_id),
  KEY post_promoted_by_ends (ends_ms)
) COMMENT='A post shown to more people for a while; those that run are found by their end.';

CREATE TABLE post_reshare (
  post_reshare_id BIGINT NOT NULL,
  post_id         BIGINT NOT NULL,
  user_id         BIGINT NOT NULL COMMENT 'Who passes it on.',
  post_user_id    BIGINT NOT NULL COMMENT 'Who wrote it.',
  created_ms      BIGINT NOT NULL,
  PRIMARY KEY (post_reshare_id),
  UNIQUE KEY post_reshare_by_user_post (user_id, post_id),
  KEY post_reshare_by_user (user_id, post_reshare_id),
  KEY post_reshare_by_post (post_id, post_reshare_id)
) COMMENT='A user has passed a post on to their followers; at most once.';

CREATE TABLE post_deleted (
  post_id    BIGINT NOT NULL,
  user_id    BIGINT NOT NULL,
  deleted_by BIGINT NOT NULL COMMENT 'The user who deleted it: its owner or an admin.',
  deleted_ms BIGINT NOT NULL,
  PRIMARY KEY (post_id),
  KEY post_deleted_by_user (user_id, post_id),
  KEY post_deleted_by_deleted (deleted_ms)
) COMMENT='The mark that a deleted post leaves, so that late events and clients can tell it from one that never was.';

CREATE TABLE post_key (
  post_key   VARCHAR(16) NOT NULL,
  post_id    BIGINT      NOT NULL,
  created_ms BIGINT      NOT NULL,
  PRIMARY KEY (post_key),
  UNIQUE KEY post_key_by_post (post_id)
) COMMENT='Every public key that a post ever had: it stays when the post goes, so that an old link never shows another post.';

CREATE TABLE post_like (
  post_like_id BIGINT NOT NULL,
  post_id      BIGINT NOT NULL,
  user_id      BIGINT NOT NULL,
  created_ms   BIGINT NOT NULL,
  PRIMARY KEY (post_like_id),
  UNIQUE KEY post_like_by_user_post (user_id, post_id),
  KEY post_like_by_post (post_id, post_like_id),
  KEY post_like_by_user (user_id, post_like_id)
) COMMENT='A user likes a post; at most once, so that undo finds the row by user and post.';

CREATE TABLE comment (
  comment_id BIGINT  NOT NULL,
  post_id    BIGINT  NOT NULL,
  user_id    BIGINT  NOT NULL,
  text       TEXT    NOT NULL,
  likes      BIGINT  NOT NULL DEFAULT 0,
  is_edited  BOOL    NOT NULL DEFAULT FALSE,
  created_ms BIGINT  NOT NULL,
  PRIMARY KEY (comment_id),
  KEY comment_by_post (post_id, comment_id),
  KEY comment_by_user (user_id, comment_id)
) COMMENT='What a user says under a post.';

CREATE TABLE comment_like (
  comment_like_id BIGINT NOT NULL,
  comment_id      BIGINT NOT NULL,
  user_id         BIGINT NOT NULL,
  created_ms      BIGINT NOT NULL,
  PRIMARY KEY (comment_like_id),
  UNIQUE KEY comment_like_by_user_comment (user_id, comment_id),
  KEY comment_like_by_comment (comment_id, comment_like_id)
) COMMENT='A user likes a comment; at most once.';

CREATE TABLE comment_deleted (
  comment_id BIGINT NOT NULL,
  post_id    BIGINT NOT NULL,
  user_id    BIGINT NOT NULL,
  deleted_by BIGINT NOT NULL COMMENT 'The user who deleted it: its writer, the owner of the post, or an admin.',
  deleted_ms BIGINT NOT NULL,
  PRIMARY KEY (comment_id),
  KEY comment_deleted_by_post (post_id, comment_id),
  KEY comment_deleted_by_deleted (deleted_ms)
) COMMENT='The mark that a deleted comment leaves, so that late events and clients can tell it from one that never was.';

CREATE TABLE follow (
  follow_id        BIGINT NOT NULL,
  user_id          BIGINT NOT NULL COMMENT 'Who follows.',
  followed_user_id BIGINT NOT NULL,
  created_ms       BIGINT NOT NULL,
  PRIMARY KEY (follow_id),
  UNIQUE KEY follow_by_user_followed (user_id, followed_user_id),
  KEY follow_by_user (user_id, follow_id),
  KEY follow_by_followed (followed_user_id, follow_id)
) COMMENT='A user follows another; a request that waits for consent stands in user_relation only.';

CREATE TABLE block (
  block_id        BIGINT NOT NULL,
  user_id         BIGINT NOT NULL COMMENT 'Who blocks.',
  blocked_user_id BIGINT NOT NULL,
  created_ms      BIGINT NOT NULL,
  PRIMARY KEY (block_id),
  UNIQUE KEY block_by_user_blocked (user_id, blocked_user_id),
  KEY block_by_user (user_id, block_id),
  KEY block_by_blocked (blocked_user_id, block_id)
) COMMENT='A user has blocked another; neither sees the other.';

CREATE TABLE user_relation (
  user_id           BIGINT  NOT NULL,
  peer_user_id      BIGINT  NOT NULL,
  following         TINYINT NOT NULL DEFAULT 1 COMMENT 'What the user is to the peer.',  -- sun: enum=sun.v1.Following
  followed          TINYINT NOT NULL DEFAULT 1 COMMENT 'What the peer is to the user.',  -- sun: enum=sun.v1.Following
  in_contacts       BOOL    NOT NULL DEFAULT FALSE COMMENT 'The user has the number of the peer.',
  is_mutual_contact BOOL    NOT NULL DEFAULT FALSE COMMENT 'Each has the number of the other.',
  is_favorite       BOOL    NOT NULL DEFAULT FALSE,
  notify            BOOL    NOT NULL DEFAULT FALSE COMMENT 'Tell the user of every post of the peer.',
  updated_ms        BIGINT  NOT NULL,
  PRIMARY KEY (user_id, peer_user_id),
  KEY user_relation_by_following (user_id, following, peer_user_id),
  KEY user_relation_by_followed (user_id, followed, peer_user_id),
  KEY user_relation_by_contacts (user_id, in_contacts, peer_user_id),
  KEY user_relation_by_favorite (user_id, is_favorite, peer_user_id),
  KEY user_relation_by_peer (peer_user_id, user_id)
) COMMENT='All that one user is to another in one row, from the side of the user; the peer has a row of its own.';

CREATE TABLE action (
  action_id     BIGINT     NOT NULL,
  user_id       BIGINT     NOT NULL COMMENT 'Who acts.',
  action_type   TINYINT    NOT NULL,  -- sun: enum=sun.v1.ActionType
  relation_hash BINARY(16) NOT NULL COMMENT 'BLAKE3 of the deed, like post_liked_{user}_{post}: undo finds the row by it.',
  peer_user_id  BIGINT     NOT NULL DEFAULT 0 COMMENT 'Whom it was done to.',
  post_id       BIGINT     NOT NULL DEFAULT 0,
  comment_id    BIGINT     NOT NULL DEFAULT 0,
  created_ms    BIGINT     NOT NULL,
  PRIMARY KEY (action_id),
  UNIQUE KEY action_by_relation (relation_hash),
  KEY action_by_user (user_id, action_id),
  KEY action_by_post (post_id, action_id),
  KEY action_by_peer (peer_user_id, user_id, action_id)
) COMMENT='What a user did, for those who follow the user to see.';

CREATE TABLE notification (
  notification_id   BIGINT     NOT NULL,
  for_user_id       BIGINT     NOT NULL COMMENT 'Who is told.',
  user_id           BIGINT     NOT NULL COMMENT 'Who acted.',
  notification_type TINYINT    NOT NULL,  -- sun: enum=sun.v1.NotificationType
  relation_hash     BINARY(16) NOT NULL COMMENT 'The hash that action keeps; one deed may be told to several users.',
  post_id           BIGINT     NOT NULL DEFAULT 0,
  comment_id        BIGINT     NOT NULL DEFAULT 0,
  is_seen           BOOL       NOT NULL DEFAULT FALSE,
  created_ms        BIGINT     NOT NULL,
  PRIMARY KEY (notification_id),
  UNIQUE KEY notification_by_relation (relation_hash, for_user_id),
  KEY notification_by_for_user (for_user_id, notification_id),
  KEY notification_by_seen (for_user_id, is_seen, notification_id),
  KEY notification_by_user (for_user_id, user_id, notification_id),
  KEY notification_by_post (post_id, notification_id)
) COMMENT='A user is told that another has done something that concerns them.';

CREATE TABLE notification_removed (
  notification_id BIGINT NOT NULL,
  for_user_id     BIGINT NOT NULL,
  removed_ms      BIGINT NOT NULL,
  PRIMARY KEY (notification_id),
  KEY notification_removed_by_for_user (for_user_id, removed_ms),
  KEY notification_removed_by_removed (removed_ms)
) COMMENT='A notification that was taken back, kept a while for clients that still show it.';

CREATE TABLE profile_all (
  user_id         BIGINT NOT NULL,
  sort_id         BIGINT NOT NULL COMMENT 'The id of the post, or of the reshare: newest first.',
  post_id         BIGINT NOT NULL,
  post_reshare_id BIGINT NOT NULL DEFAULT 0 COMMENT '0 for a post of the user itself.',
  PRIMARY KEY (user_id, sort_id),
  KEY profile_all_by_post (post_id, user_id)
) COMMENT='The first tab of a profile: what the user has posted and reshared, without archived posts.';

CREATE TABLE profile_media (
  user_id   BIGINT  NOT NULL,
  post_id   BIGINT  NOT NULL,
  post_type TINYINT NOT NULL,  -- sun: enum=sun.v1.PostType
  PRIMARY KEY (user_id, post_id),
  KEY profile_media_by_type (user_id, post_type, post_id),
  KEY profile_media_by_post (post_id, user_id)
) COMMENT='The media tab of a profile: the posts of the user with photos, videos or GIFs, without archived ones.';

CREATE TABLE profile_mentioned (
  user_id      BIGINT NOT NULL COMMENT 'Who is mentioned.',
  post_id      BIGINT NOT NULL,
  post_user_id BIGINT NOT NULL COMMENT 'Who wrote the post.',
  PRIMARY KEY (user_id, post_id),
  KEY profile_mentioned_by_writer (user_id, post_user_id, post_id),
  KEY profile_mentioned_by_post (post_id, user_id)
) COMMENT='The tab of a profile that shows posts which mention the user.';

CREATE TABLE tag (
  tag_id     BIGINT      NOT NULL,
  tag_name   VARCHAR(64) NOT NULL COMMENT 'In lower case, without the #.',
  posts      BIGINT      NOT NULL DEFAULT 0,
  status     TINYINT     NOT NULL DEFAULT 0 COMMENT 'Of moderation: 0 nobody has looked, 1 approved, 2 not to be suggested.',
  is_blocked BOOL        NOT NULL DEFAULT FALSE COMMENT 'Its page is empty and no search finds it.',
  tag_group  VARCHAR(32) NOT NULL DEFAULT '' COMMENT 'The topic it is shown under.',
  created_ms BIGINT      NOT NULL,
  PRIMARY KEY (tag_id),
  UNIQUE KEY tag_by_name (tag_name),
  KEY tag_by_posts (is_blocked, posts),
  KEY tag_by_group (tag_group, posts)
) COMMENT='A hashtag and how many standing posts carry it.';

CREATE TABLE tag_post (
  tag_id    BIGINT  NOT NULL,
  post_id   BIGINT  NOT NULL,
  post_type TINYINT NOT NULL,  -- sun: enum=sun.v1.PostType
  user_id   BIGINT  NOT NULL,
  PRIMARY KEY (tag_id, post_id),
  KEY tag_post_by_type (tag_id, post_type, post_id),
  KEY tag_post_by_post (post_id, tag_id)
) COMMENT='A post carries a hashtag; not while the post is archived.';

CREATE TABLE phone_contact (
  phone_contact_id BIGINT      NOT NULL,
  user_id          BIGINT      NOT NULL COMMENT 'Whose address book it is.',
  phone            VARCHAR(16) NOT NULL COMMENT 'In E.164 form.',
  first_name       VARCHAR(64) NOT NULL DEFAULT '',
  last_name        VARCHAR(64) NOT NULL DEFAULT '',
  peer_user_id     BIGINT      NOT NULL DEFAULT 0 COMMENT 'The account with this number; 0 where there is none yet.',
  created_ms       BIGINT      NOT NULL,
  PRIMARY KEY (phone_contact_id),
  UNIQUE KEY phone_contact_by_user_phone (user_id, phone),
  KEY phone_contact_by_user (user_id, phone_contact_id),
  KEY phone_contact_by_phone (phone, phone_contact_id)
) COMMENT='An entry of the address book on a phone of a user; when its number joins, the user is told.';

-- sun: cache ttl=1m
CREATE TABLE notification_setting (
  user_id              BIGINT  NOT NULL,
  social_led           BOOL    NOT NULL DEFAULT TRUE,
  social_led_color     INT     NOT NULL DEFAULT 0 COMMENT '0xRRGGBB; 0 for that of the device.',
  follow_requested     BOOL    NOT NULL DEFAULT TRUE,
  followed             BOOL    NOT NULL DEFAULT TRUE,
  follow_accepted      BOOL    NOT NULL DEFAULT TRUE,
  post_liked           BOOL    NOT NULL DEFAULT TRUE,
  post_commented       BOOL    NOT NULL DEFAULT TRUE,
  comment_liked        BOOL    NOT NULL DEFAULT TRUE,
  mentioned_in_post    BOOL    NOT NULL DEFAULT TRUE,
  mentioned_in_comment BOOL    NOT NULL DEFAULT TRUE,
  contact_joined       BOOL    NOT NULL DEFAULT TRUE,
  direct_message       BOOL    NOT NULL DEFAULT TRUE,
  direct_alert         BOOL    NOT NULL DEFAULT TRUE,
  direct_preview       BOOL    NOT NULL DEFAULT TRUE COMMENT 'Show the text of a message, not only that there is one.',
  direct_led           BOOL    NOT NULL DEFAULT TRUE,
  direct_led_color     INT     NOT NULL DEFAULT 0 COMMENT '0xRRGGBB; 0 for that of the device.',
  direct_sound         BOOL    NOT NULL DEFAULT TRUE,
  direct_vibrate       BOOL    NOT NULL DEFAULT TRUE,
  direct_popup         BOOL    NOT NULL DEFAULT FALSE,
  direct_priority      TINYINT NOT NULL DEFAULT 0 COMMENT 'Of the device, from -2 to 2.',
  updated_ms           BIGINT  NOT NULL,
  PRIMARY KEY (user_id)
) COMMENT='What a user wants to be told of, and how; a user without a row has the defaults.';

CREATE TABLE event (
  event_id     BIGINT   NOT NULL,
  event_type   SMALLINT NOT NULL COMMENT 'Post added 1, deleted 2; liked 10, unliked 11; commented 20, comment removed 21; followed 100, unfollowed 101; blocked 110, unblocked 111; action added 1000, removed 1001.',
  user_id      BIGINT   NOT NULL COMMENT 'Who acted.',
  peer_user_id BIGINT   NOT NULL DEFAULT 0 COMMENT 'Whom it concerns.',
  post_id      BIGINT   NOT NULL DEFAULT 0,
  comment_id   BIGINT   NOT NULL DEFAULT 0,
  action_id    BIGINT   NOT NULL DEFAULT 0,
  created_ms   BIGINT   NOT NULL,
  PRIMARY KEY (event_id),
  KEY event_by_user (user_id, event_id),
  KEY event_by_post (post_id, event_id),
  KEY event_by_created (created_ms)
) COMMENT='The record of who did what, for support and audit. It drives nothing: events travel in the framework log.';

CREATE TABLE trigger_log (
  trigger_log_id BIGINT       NOT NULL AUTO_INCREMENT,
  table_name     VARCHAR(64)  NOT NULL,
  change_type    TINYINT      NOT NULL COMMENT '1 insert, 2 update, 3 delete.',
  row_key        VARCHAR(255) NOT NULL COMMENT 'The primary key of the row, its columns parted by commas.',
  created_ms     BIGINT       NOT NULL,
  PRIMARY KEY (trigger_log_id),
  KEY trigger_log_by_row (table_name, row_key, trigger_log_id),
  KEY trigger_log_by_created (created_ms)
) COMMENT='Rows changed past the generated code, by hand or by another program, as SQL triggers note them where they are installed.';
