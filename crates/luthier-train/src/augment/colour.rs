//! Brightness and contrast, as torchvision's `adjust_brightness` and `adjust_contrast` have them.

use super::Domain;

/// The weights of red, green and blue in grey (ITU-R BT.601).
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// Multiplies pixels in `[0, 1]` by `factor` and cuts off what is beyond 1.
pub(super) fn brighten(image: &mut [f32], domain: &Domain, factor: f32) {
    if factor == 1.0 {
        return;
    }
    for (channel, plane) in domain.planes(image) {
        for pixel in plane {
            *pixel = (channel.black + factor * (*pixel - channel.black)).clamp(channel.black, channel.white);
        }
    }
}

/// Multiplies the distance of pixels in `[0, 1]` from the image's mean grey by `factor` and cuts off what is
/// beyond 0 or 1.
pub(super) fn contrast(image: &mut [f32], domain: &Domain, factor: f32) {
    if factor == 1.0 {
        return;
    }
    let count = domain.channels.len();
    let mut mean = 0.0;
    for (i, (channel, plane)) in domain.planes(image).enumerate() {
        let weight = if count == 3 { GREY[i] } else { 1.0 / count as f64 };
        let sum: f64 = plane.iter().map(|pixel| f64::from(pixel - channel.black)).sum();
        mean += weight * sum / plane.len() as f64 / f64::from(channel.white - channel.black);
    }
    for (channel, plane) in domain.planes(image) {
        let grey = (f64::from(channel.black) + mean * f64::from(channel.white - channel.black)) as f32;
        for pixel in plane {
            *pixel = (grey + factor * (*pixel - grey)).clamp(channel.black, channel.white);
        }
    }
}
