//! Two-dimensional convolutions.
//!
//! `y[b, i, j, f] = bias[f] + Σ x[b, i·s + p·d − padding, j·s + q·d − padding, c] · w[f, p, q, c]`, the sum going
//! over the places `p, q` of the kernel and the channels `c` of the filter's group, with `x` zero outside.
//! Activations are `[batch, height, width, channels]`, weights `[filters, kernel, kernel, channels / groups]`.

#![allow(clippy::inline_always, reason = "vectors come of what is inlined into `vectorized`")]

mod depthwise;
mod narrow;
mod rows;
#[cfg(test)]
mod tests;
mod unfold;
mod winograd;

use std::fmt;

/// The geometry of a convolution over `[batch, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the result.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Steps from one place of the kernel to the next, in both directions.
    pub stride: usize,
    /// Zeros before and behind, in both directions.
    pub padding: (usize, usize),
    /// Distance of neighbouring places in the kernel.
    pub dilation: usize,
    /// Groups of channels, each seen by as many filters.
    pub groups: usize,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The images themselves are the left matrix of a product.
    Product,
    /// What each place sees is copied into the row of a matrix, a tile of places after the other, and multiplied.
    Unfolding,
    /// Directly, with few channels.
    Narrow,
    /// Winograd's minimal filtering: fewer multiplications, for kernels of 3 x 3 and 5 x 5 with stride 1.
    Winograd,
    /// A channel at a time, where each has a filter of its own.
    Depthwise,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Product => "product",
            Self::Unfolding => "unfolding",
            Self::Narrow => "narrow",
            Self::Winograd => "Winograd",
            Self::Depthwise => "depthwise",
        })
    }
}

impl Conv2d {
    /// Height and width of the result.
    pub fn output(&self) -> (usize, usize) {
        let reach = self.dilation * (self.kernel - 1) + 1;
        let size = |size| (size + self.padding.0 + self.padding.1 - reach) / self.stride + 1;
        (size(self.height), size(self.width))
    }

    /// How this convolution is computed, whatever the batch: an image's result has the same bits in all batches.
    pub fn method(&self) -> Method {
        if self.groups > 1 && self.groups == self.channels && self.groups == self.filters {
            Method::Depthwise
        } else if self.kernel == 1 && self.stride == 1 && self.padding == (0, 0) {
            Method::Product
        } else if narrow::pays(self) {
            Method::Narrow
        } else if winograd::pays(self) {
            Method::Winograd
        } else {
            Method::Unfolding
        }
    }

    /// Writes the convolution of `x` to `y`, where `relu` says so with negative numbers replaced by zero.
    ///
    /// # Panics
    ///
    /// If the length of a slice does not fit.
    pub fn forward(
        &self,
        batch: usize,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        y: &mut [f32],
    ) {
        self.check(batch, x.len(), weight.len(), y.len(), bias.map(<[f32]>::len));
        match self.method() {
            Method::Product | Method::Unfolding => unfold::forward(self, x, weight, bias, relu, y),
            Method::Narrow => narrow::forward(self, x, weight, bias, relu, y),
            Method::Winograd => winograd::forward(self, x, weight, bias, relu, y),
            Method::Depthwise => depthwise::forward(self, x, weight, bias, relu, y),
        }
    }

    /// Writes the gradients with respect to the input, the weights and the bias, as far as they are asked for,
    /// where `dy` is the gradient with respect to the convolution (before a ReLU).
    ///
    /// # Panics
    ///
    /// If the length of a slice does not fit.
    #[allow(clippy::too_many_arguments, reason = "what goes in and out")]
    pub fn backward(
        &self,
        batch: usize,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        dweight: Option<&mut [f32]>,
        dbias: Option<&mut [f32]>,
    ) {
        self.check(batch, x.len(), weight.len(), dy.len(), dbias.as_ref().map(|it| it.len()));
        assert!(dx.as_ref().is_none_or(|it| it.len() == x.len()), "a gradient as large as the input");
        assert!(
            dweight.as_ref().is_none_or(|it| it.len() == weight.len()),
            "a gradient as large as the weights"
        );
        if let Some(dbias) = dbias {
            rows::sums(dy, dbias);
        }
        match self.method() {
            Method::Product | Method::Unfolding | Method::Narrow => {
                if let Some(dx) = dx {
                    unfold::backward_input(self, weight, dy, dx);
                }
                if let Some(dweight) = dweight {
                    if self.method() == Method::Narrow {
                        narrow::backward_weight(self, x, dy, dweight);
                    } else {
                        unfold::backward_weight(self, x, dy, dweight);
                    }
                }
            }
            Method::Winograd => winograd::backward(self, x, weight, dy, dx, dweight),
            Method::Depthwise => {
                if let Some(dx) = dx {
                    depthwise::backward_input(self, weight, dy, dx);
                }
                if let Some(dweight) = dweight {
                    depthwise::backward_weight(self, x, dy, dweight);
                }
            }
        }
    }

    fn check(&self, batch: usize, x: usize, weight: usize, y: usize, bias: Option<usize>) {
        let (rows, columns) = self.output();
        assert!(
            self.channels.is_multiple_of(self.groups) && self.filters.is_multiple_of(self.groups),
            "groups of {self:?}"
        );
        assert_eq!(x, batch * self.image(), "numbers of the images of {self:?}");
        assert_eq!(weight, self.filters * self.patch(), "weights of {self:?}");
        assert_eq!(y, batch * rows * columns * self.filters, "numbers of the result of {self:?}");
        assert!(bias.is_none_or(|it| it == self.filters), "a bias for each filter of {self:?}");
    }

    /// Numbers of an image.
    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Places of a result.
    fn places(&self) -> usize {
        let (rows, columns) = self.output();
        rows * columns
    }

    /// Weights of a filter, which is how many numbers it sees at each place.
    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.channels / self.groups
    }

    /// Which places of the kernel stand on the image, in one direction, if its first stands at `place` of a
    /// result; and where the first of these stands.
    #[inline(always)]
    fn inside(&self, place: usize, size: usize) -> (std::ops::Range<usize>, usize) {
        let (begin, padding, step) = (place * self.stride, self.padding.0, self.dilation);
        let first = padding.saturating_sub(begin).div_ceil(step).min(self.kernel);
        let last = (size + padding).saturating_sub(begin).div_ceil(step).clamp(first, self.kernel);
        (first..last, (begin + first * step).saturating_sub(padding))
    }
}

/// Whether the weights may be the right matrix of a product of rows as they are, rather than with rows and columns
/// exchanged: of few filters the crate `gemm` would add products with few rows in another order.
fn in_place(conv: &Conv2d) -> bool {
    conv.groups == 1 && conv.filters > 128
}
