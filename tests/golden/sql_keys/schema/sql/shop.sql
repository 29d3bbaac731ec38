-- Every shape of key, and the finder that follows from it.

CREATE TABLE item (
  item_id  BIGINT NOT NULL AUTO_INCREMENT,
  shop_id  BIGINT NOT NULL,
  sku      VARCHAR(20) NOT NULL,
  price    INT NOT NULL DEFAULT 0,
  label    VARCHAR(200) DEFAULT NULL,
  added_ms BIGINT NOT NULL,
  PRIMARY KEY (item_id),
  UNIQUE KEY item_by_sku (shop_id, sku),
  KEY item_by_shop (shop_id, item_id),
  KEY item_by_price (shop_id, price),
  KEY idx_added (added_ms),
  KEY label (label),
  KEY item_by_prefix (shop_id, label(10))
) COMMENT='Something to buy.';

CREATE TABLE membership (
  group_id BIGINT NOT NULL,
  user_id  BIGINT NOT NULL,
  role     TINYINT NOT NULL DEFAULT 0,
  PRIMARY KEY (group_id, user_id),
  KEY membership_by_user (user_id, group_id)
) COMMENT='A composite primary key: its leading part is found by, too.';

CREATE TABLE sample (
  taken_ms BIGINT NOT NULL,
  value    DOUBLE NOT NULL,
  KEY sample_by_time (taken_ms)
) COMMENT='No primary key: no get, no upsert, no cursor.';
