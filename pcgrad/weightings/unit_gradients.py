"""The task gradients as unit vectors and lengths, and what is common to solving with them.

The methods work on the cosines: G = D C D with the gradients' norms in D. So neither the scale of a
loss nor a difference of scale between the tasks costs precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Most Gram matrices are of float32 gradients, whose rounding makes eigenvalues of this size.
_ROUNDING = float(np.finfo(np.float32).eps)


class UnitGradients(NamedTuple):
    """The Gram matrix, taken apart.

    Attributes:
        cosines: [T, T], float64, ones on the diagonal. A zero gradient is orthogonal to all.
        norms: [T], float64.
        present: [T], float64: one where the gradient is not zero, else zero.
    """

    cosines: tf.Tensor
    norms: tf.Tensor
    present: tf.Tensor

    def per_norm(self, values: tf.Tensor) -> tf.Tensor:
        """Divides values [..., T] by the norms; zero where the gradient is zero."""
        return tf.math.divide_no_nan(values, self.norms)

    @property
    def shares(self) -> tf.Tensor:
        """The weights [T] of the mean over the tasks whose gradient is not zero."""
        return tf.math.divide_no_nan(self.present, tf.reduce_sum(self.present))

    @property
    def relative_reciprocals(self) -> tf.Tensor:
        """The shortest norm divided by each, [T]; zero where the gradient is, unless all are."""
        reciprocals = self.per_norm(self.present)
        largest = tf.reduce_max(reciprocals)
        relative = tf.math.divide_no_nan(reciprocals, largest)
        return tf.where(largest > 0, relative, tf.ones_like(relative))


def unit_gradients(gramian: tf.Tensor) -> UnitGradients:
    """Takes a Gram matrix [T, T], float64, apart."""
    squares = tf.linalg.diag_part(gramian)
    present = tf.cast(squares > 0, gramian.dtype)
    norms = tf.sqrt(tf.maximum(squares, 0))
    inverse = tf.math.divide_no_nan(present, norms)
    cosines = gramian * inverse[:, tf.newaxis] * inverse
    return UnitGradients(tf.linalg.set_diag(cosines, tf.ones_like(norms)), norms, present)


def with_least_eigenvalue(matrix: tf.Tensor, least: float) -> tf.Tensor:
    """The nearest symmetric matrix whose eigenvalues are at least `T · least`.

    Rounding leaves the Gram matrix of dependent gradients with eigenvalues around zero, on both
    sides of it.

    Args:
        matrix: [T, T], symmetric, with ones on the diagonal.
        least: Of a size that changes no result, or to bound the solutions of singular systems.
    """
    values, vectors = tf.linalg.eigh(matrix)
    # What is missing is added: XLA's eigenvectors are exact to 1e-7 only, and would carry that into
    # the whole matrix.
    missing = tf.maximum(matrix.shape[0] * least - values, 0)
    return matrix + tf.matmul(vectors * missing, vectors, transpose_b=True)


def independent_part(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Eigenvalues and eigenvectors, and which of them are more than rounding.

    Args:
        matrix: [T, T], symmetric.

    Returns:
        Eigenvalues [T]; eigenvectors [T, T], in columns; and [T], bool: false for an eigenvalue of
        less than T times the largest one times float32's precision. (The code of Aligned-MTL's
        authors draws the line there.)
    """
    values, vectors = tf.linalg.eigh(matrix)
    return values, vectors, values > matrix.shape[0] * _ROUNDING * values[-1]


def pseudo_inverse_product(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """The pseudoinverse of a symmetric matrix [T, T] times a vector [T]."""
    values, vectors, kept = independent_part(matrix)
    inverse = tf.where(kept, tf.math.divide_no_nan(tf.ones_like(values), values), 0)
    return tf.linalg.matvec(vectors, inverse * tf.linalg.matvec(vectors, vector, transpose_a=True))
