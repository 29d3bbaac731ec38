CREATE TABLE item (
  item_id  BIGINT NOT NULL PRIMARY KEY,
  userId   BIGINT NOT NULL,
  user_id  BIGINT NOT NULL,
  line1    INT NOT NULL,
  line_1   INT NOT NULL,
  -- sun: enum=shop.rows.v1.Old
  kind     INT NOT NULL
);
