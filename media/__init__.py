"""Objects and media: the store, images, animation, HLS, the disk cache and the HTTP server before them."""
