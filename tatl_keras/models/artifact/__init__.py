"""What `model.export` writes: the signatures, the weights and the files beside them."""
