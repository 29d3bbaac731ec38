-- Foreign keys whose loaders would take a name that is taken: both are named.

CREATE TABLE customer (
  customer_id          BIGINT NOT NULL,
  purchase_by_payer_id BIGINT NOT NULL,
  PRIMARY KEY (customer_id)
);

CREATE TABLE purchase (
  purchase_id BIGINT NOT NULL,
  buyer       BIGINT NOT NULL,
  buyer_id    BIGINT NOT NULL,
  payer_id    BIGINT NOT NULL,
  seller_id   BIGINT NOT NULL,
  seller_of   BIGINT NOT NULL,
  PRIMARY KEY (purchase_id),
  CONSTRAINT fk_buyer FOREIGN KEY (buyer) REFERENCES customer (customer_id),
  CONSTRAINT fk_buyer_id FOREIGN KEY (buyer_id) REFERENCES customer (customer_id),
  CONSTRAINT fk_payer FOREIGN KEY (payer_id) REFERENCES customer (customer_id),
  CONSTRAINT fk_seller FOREIGN KEY (seller_id) REFERENCES customer (customer_id)
);
