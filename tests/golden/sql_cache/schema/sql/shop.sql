-- Tables with a row cache.

-- sun: cache ttl=90s max=500 lists=item_by_shelf,PRIMARY
CREATE TABLE item (
  shop_id BIGINT      NOT NULL,
  item_id BIGINT      NOT NULL,
  shelf   INT         NOT NULL,
  label   VARCHAR(40) NOT NULL,
  PRIMARY KEY (shop_id, item_id),
  UNIQUE KEY item_by_label (label),
  KEY item_by_shelf (shelf, item_id),
  KEY item_by_shop_shelf (shop_id, shelf)
);

-- sun: cache ttl=250ms
CREATE TABLE shop (
  shop_id BIGINT NOT NULL AUTO_INCREMENT,
  PRIMARY KEY (shop_id)
);
