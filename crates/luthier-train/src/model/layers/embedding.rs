//! Vectors of tokens and of positions.

use burn::module::{Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{Tensor, TensorData};

use crate::model::Signal;
use crate::model::builder::{Builder, Outline};
use crate::model::init::{Fill, Init};
use crate::model::plan::{EmbeddingKernel, Planner};
use crate::model::stage::{Operation, Stage};
use crate::model::weights::{Layout, Role};
use crate::shape::Shape;

use super::size::{UNITS, named};

luthier_core::settings! {
    /// A vector for each token; that of padding stays 0. The vocabulary follows from the data.
    #[derive(Debug, Clone, PartialEq)]
    pub struct EmbeddingLayer {
        /// The size of the vectors; from 32 to 300 is usual.
        embedding: usize, UNITS;
        /// How the vectors are drawn first; as `init` of `[model]` says where it is left out. PyTorch's
        /// default is the standard normal distribution.
        init: Option<Init> = None;
    }
}

luthier_core::settings! {
    /// Adds a vector for its position to each step of a sequence: attention alone does not see order.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PositionLayer {
        /// Where the vectors come from: "sinusoidal" or "learned".
        position: Position;
        /// How learned vectors are drawn first; normal with a standard deviation of 0.02 where neither
        /// this nor `init` of `[model]` says otherwise (Devlin et al. 2019).
        init: Option<Init> = None;
    }
}

luthier_core::kinds! {
    /// Vectors of positions.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Position ("\"sinusoidal\" or \"learned\"") {
        /// Number 2i of the vector of position p is sin(p / 10000^(2i / size)), number 2i + 1 the cosine
        /// (Vaswani et al. 2017). No weights.
        "sinusoidal" => Sinusoidal,
        /// Weights, one vector for each position.
        "learned" => Learned,
    }
}

/// Vectors `[vocabulary, size]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    weight: Param<Tensor<2>>,
}

/// Vectors `[length, size]`.
#[derive(Module, Debug)]
pub(crate) struct Positions {
    weight: Param<Tensor<2>>,
}

impl EmbeddingLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        self.build_from(builder, None)
    }

    /// Adds it with the first vectors given, `[vocabulary, size]` row by row, the first that of padding
    /// and so set to 0.
    ///
    /// # Errors
    ///
    /// If no tokens come in, or there are not as many numbers as the vectors have.
    pub(crate) fn build_from(
        &self,
        builder: &mut Builder<'_>,
        vectors: Option<Vec<f32>>,
    ) -> Result<(), String> {
        let Shape::Tokens { length, vocabulary } = builder.shape() else {
            return Err(format!("an embedding needs texts, and here come {}", named(builder.shape())));
        };
        let size = self.embedding;
        if let Some(vectors) = &vectors
            && vectors.len() != vocabulary * size
        {
            return Err(format!(
                "{} numbers were given for {vocabulary} vectors of {size}, expected {}",
                vectors.len(),
                vocabulary * size
            ));
        }
        let torch = format!("nn.Embedding({vocabulary}, {size}, padding_idx=0)");
        // Without masks, what follows would be another model.
        let outline =
            Outline { torch: None, ..Outline::torch(torch, Shape::Sequence { length, features: size }) };
        builder.weighted(outline, |builder| {
            let (drawn, _) = builder.fills(self.init, Fill::Normal(1.0), 1);
            let fill = Fill::Padded(Box::new(vectors.map_or(drawn, Fill::Given)));
            let mut rng = builder.init_stream();
            let role = (Role::Embedding, Layout::Same);
            let weight = builder.parameter("weight", [vocabulary, size], role, fill, &mut rng);
            Stage::Embedding(Embedding { weight })
        });
        Ok(())
    }
}

impl Embedding {
    /// Its kernel for CPUs.
    pub(crate) fn plan(&self, planner: &mut Planner<'_>) -> bool {
        let Shape::Tokens { length, .. } = planner.shape() else { return false };
        let [vocabulary, size] = self.weight.val().dims();
        let kernel =
            EmbeddingKernel::new(luthier_kernels::Embedding { vocabulary, size }, planner.parameter());
        planner.push(kernel, Shape::Sequence { length, features: size })
    }

    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        let Signal::Tokens(tokens) = signal else {
            unreachable!("the builder puts embeddings behind tokens only")
        };
        let mask = tokens.clone().not_equal_elem(0).float();
        // Padding is multiplied by 0, so its vector gets no gradient.
        let values = embedding(self.weight.val(), tokens) * mask.clone().unsqueeze_dim::<3>(2);
        Signal::Sequence { values, mask: Some(mask) }
    }
}

impl PositionLayer {
    pub(crate) fn build(&self, builder: &mut Builder<'_>) -> Result<(), String> {
        let shape @ Shape::Sequence { length, features } = builder.shape() else {
            return Err(format!("positions are of sequences, and here come {}", named(builder.shape())));
        };
        let outline = Outline::own(format!("position {}", self.position.kind()), shape);
        match self.position {
            Position::Sinusoidal => builder.plain(Operation::Positions, outline),
            Position::Learned => builder.weighted(outline, |builder| {
                let (fill, _) = builder.fills(self.init, Fill::Normal(0.02), 1);
                let mut rng = builder.init_stream();
                let role = (Role::Embedding, Layout::Same);
                let weight = builder.parameter("weight", [length, features], role, fill, &mut rng);
                Stage::Positions(Positions { weight })
            }),
        }
        Ok(())
    }
}

impl Positions {
    pub(crate) fn forward(&self, signal: Signal) -> Signal {
        add(signal, |length, _| self.weight.val().narrow(0, 0, length))
    }
}

/// Adds the vectors of sines and cosines.
pub(crate) fn sinusoidal(signal: Signal) -> Signal {
    let device = match &signal {
        Signal::Sequence { values, .. } => values.device(),
        _ => return signal,
    };
    add(signal, |length, size| {
        Tensor::from_data(TensorData::new(waves(length, size), [length, size]), &device)
    })
}

/// Sines and cosines for so many positions, row by row.
fn waves(length: usize, size: usize) -> Vec<f32> {
    let wave = |position: usize, place: usize| {
        let exponent = (place - place % 2) as f64 / size as f64;
        let angle = position as f64 * libm::exp(-exponent * libm::log(10_000.0));
        if place.is_multiple_of(2) { libm::sin(angle) as f32 } else { libm::cos(angle) as f32 }
    };
    (0..length).flat_map(|position| (0..size).map(move |place| wave(position, place))).collect()
}

fn add(signal: Signal, vectors: impl FnOnce(usize, usize) -> Tensor<2>) -> Signal {
    let Signal::Sequence { values, mask } = signal else {
        unreachable!("the builder puts positions behind sequences only")
    };
    let [_, length, size] = values.dims();
    Signal::Sequence { values: values + vectors(length, size).unsqueeze_dim::<3>(0), mask }
}
