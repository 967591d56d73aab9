//! Values of the parameters of a model, or of what is remembered of them: on the host or on a device.

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::host;

/// Lists of numbers, where they were used last.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    /// On the host.
    Host(Vec<Vec<f32>>),
    /// On a device, without autodiff.
    Device(Vec<Tensor<1>>),
}

impl Values {
    /// The values on the host, for good.
    pub(crate) fn on_host(&mut self) -> &mut [Vec<f32>] {
        if let Self::Device(tensors) = self {
            *self = Self::Host(std::mem::take(tensors).into_iter().map(host).collect());
        }
        match self {
            Self::Host(values) => values,
            Self::Device(_) => unreachable!("just moved"),
        }
    }

    /// The values on `device`, for good.
    pub(crate) fn on_device(&mut self, device: &Device) -> &mut [Tensor<1>] {
        if let Self::Host(values) = self {
            let values = std::mem::take(values).into_iter();
            *self = Self::Device(values.map(|values| to_device(values, device)).collect());
        }
        match self {
            Self::Device(tensors) => tensors,
            Self::Host(_) => unreachable!("just moved"),
        }
    }

    /// A copy on the host.
    pub(crate) fn to_host(&self) -> Vec<Vec<f32>> {
        match self {
            Self::Host(values) => values.clone(),
            Self::Device(tensors) => tensors.iter().cloned().map(host).collect(),
        }
    }

    /// A copy on a device: on `device` if it is on the host, else where it is.
    pub(crate) fn to_device(&self, device: &Device) -> Vec<Tensor<1>> {
        match self {
            Self::Host(values) => values.iter().map(|values| to_device(values.clone(), device)).collect(),
            Self::Device(tensors) => tensors.clone(),
        }
    }
}

/// Numbers as a flat tensor.
pub(crate) fn to_device(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
