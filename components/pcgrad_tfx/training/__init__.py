"""The Trainer: data, model, training, saved model."""
