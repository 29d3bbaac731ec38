-- The database of what is worked out from others: feeds and suggestions. All of it can be lost and made again.

CREATE TABLE home_fanout (
  for_user_id     BIGINT NOT NULL COMMENT 'Whose feed it is.',
  sort_id         BIGINT NOT NULL COMMENT 'The id of the post, or of the reshare: the time of the content, so that late rows sort right.',
  post_id         BIGINT NOT NULL,
  post_user_id    BIGINT NOT NULL COMMENT 'Whose post or reshare brought it here: purged when no longer followed.',
  post_reshare_id BIGINT NOT NULL DEFAULT 0 COMMENT '0 for a post that came from its author.',
  PRIMARY KEY (for_user_id, sort_id),
  KEY home_fanout_by_source (for_user_id, post_user_id, sort_id),
  KEY home_fanout_by_post (post_id, for_user_id)
) COMMENT='The home feed of each user: the last 500 posts of those they follow, and their own.';

CREATE TABLE action_fanout (
  for_user_id BIGINT NOT NULL COMMENT 'Whose feed it is.',
  action_id   BIGINT NOT NULL,
  user_id     BIGINT NOT NULL COMMENT 'Who acted: purged when no longer followed.',
  PRIMARY KEY (for_user_id, action_id),
  KEY action_fanout_by_source (for_user_id, user_id, action_id),
  KEY action_fanout_by_action (action_id, for_user_id)
) COMMENT='The action feed of each user: the last 1,000 deeds of those they follow.';

CREATE TABLE suggested_top_post (
  position   INT    NOT NULL COMMENT 'Its place, 1 for the best.',
  post_id    BIGINT NOT NULL,
  weight     DOUBLE NOT NULL COMMENT 'The share of recent likes that it has.',
  created_ms BIGINT NOT NULL,
  PRIMARY KEY (position),
  KEY suggested_top_post_by_post (post_id)
) COMMENT='The posts that are liked most at present, made anew every half hour from the last likes.';

CREATE TABLE suggested_user (
  user_id        BIGINT NOT NULL COMMENT 'To whom it is suggested.',
  target_user_id BIGINT NOT NULL COMMENT 'Who is suggested.',
  weight         DOUBLE NOT NULL COMMENT 'How good a guess it is, from 0 to 1.',
  created_ms     BIGINT NOT NULL COMMENT 'Made anew after four hours.',
  PRIMARY KEY (user_id, target_user_id),
  KEY suggested_user_by_weight (user_id, weight),
  KEY suggested_user_by_target (target_user_id, user_id),
  KEY suggested_user_by_created (created_ms)
) COMMENT='Whom a user may want to follow: contacts, followers not followed back, and popular users.';
