//! Dense layers: `y = x W + b`.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

mod arrange;
mod narrow;
mod product;
#[cfg(test)]
mod tests;
mod vector;

use crate::columns;
use crate::simd::vectorized;
use crate::{parallel, scratch};
use arrange::{copy, gather, transpose};
use narrow::FEW;
use product::{DEPTH, LANES, Rows, Size, Start, add_panel, widest_panel};

/// `y = x W + b` for each row of `[rows, inputs]`, with weights `[inputs, units]` and biases `[units]`.
///
/// The bits of a row of the result depend on no other row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    /// Numbers of a row that comes in.
    pub inputs: usize,
    /// Numbers of a row of the result.
    pub units: usize,
}

/// Products that are worth a task of their own: some microseconds.
const WORTH_A_TASK: usize = 1 << 18;

/// Rows of a result that are a task, if there are enough of them.
const ROWS: usize = 16;

/// Most rows of a task: with more of them, they would come from memory for each panel.
const AT_ONCE: usize = 256;

/// The columns of a matrix, cut into panels.
#[derive(Clone, Copy)]
struct Panels {
    columns: usize,
    /// Columns of a panel; the last may have fewer.
    width: usize,
}

impl Panels {
    fn new(columns: usize) -> Self {
        let vectors = columns.div_ceil(LANES).max(1);
        Self { columns, width: vectors.div_ceil(vectors.div_ceil(widest_panel())) * LANES }
    }

    fn count(self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// The first column of a panel, and how many it has.
    fn of(self, panel: usize) -> (usize, usize) {
        let start = panel * self.width;
        (start, self.width.min(self.columns - start))
    }

    /// How many columns a panel has with those that fill its last vector.
    fn padded(self, panel: usize) -> usize {
        self.of(panel).1.next_multiple_of(LANES)
    }
}

/// A matrix `[depth, columns]` to the right of a product.
#[derive(Clone, Copy)]
enum Right<'a> {
    /// As it is.
    Plain(&'a [f32]),
    /// As its transpose, `[columns, depth]`.
    Transposed(&'a [f32]),
}

/// `[depth, columns]` in the order of its panels: `[panel, depth, width]`.
#[derive(Clone, Copy)]
struct Ordered<'a> {
    panels: Panels,
    depth: usize,
    data: &'a [f32],
}

impl<'a> Ordered<'a> {
    fn panel(&self, number: usize) -> &'a [f32] {
        &self.data[number * self.panels.width * self.depth..][..self.panels.padded(number) * self.depth]
    }
}

/// [`scratch::with`] numbers that begin where vectors are read fastest.
fn with_aligned(len: usize, work: impl FnOnce(&mut [f32])) {
    scratch::with(len + LANES, |data| {
        let skipped = data.as_ptr().align_offset(LANES * size_of::<f32>()).min(LANES);
        work(&mut data[skipped..][..len]);
    });
}

/// Calls `work` with the panels of a matrix `[depth, columns]`.
fn with_panels(right: Right<'_>, [depth, columns]: [usize; 2], work: impl FnOnce(Ordered<'_>)) {
    let panels = Panels::new(columns);
    if let Right::Plain(data) = right
        && columns == panels.width
    {
        return work(Ordered { panels, depth, data });
    }
    let size = panels.width * depth;
    with_aligned(panels.count() * size, |data| {
        let order = |number: usize, panel: &mut [f32]| {
            let ((start, count), width) = (panels.of(number), panels.padded(number));
            match right {
                Right::Plain(data) => copy(&data[start..], columns, count, panel, width),
                Right::Transposed(data) => {
                    transpose(&data[start * depth..][..count * depth], depth, panel, width);
                }
            }
        };
        if depth * columns < columns::TASK {
            data.chunks_exact_mut(size.max(1)).enumerate().for_each(|(number, panel)| order(number, panel));
        } else {
            parallel::chunks(data, size, order);
        }
        work(Ordered { panels, depth, data });
    });
}

/// `target[rows, columns] = left[rows, depth] · right + bias`.
fn product(
    target: &mut [f32],
    left: &[f32],
    right: Right<'_>,
    [rows, depth, columns]: [usize; 3],
    bias: Option<&[f32]>,
) {
    let left = Rows { data: left, stride: depth };
    let panels = Panels::new(columns);
    let start_of =
        |start: usize, count: usize| bias.map_or(Start::Zero, |bias| Start::Row(&bias[start..start + count]));
    let alone = rows * depth * columns < WORTH_A_TASK || rayon::current_num_threads() == 1;
    if let Right::Plain(data) = right
        && rows <= AT_ONCE
        && panels.count() > 1
    {
        let work = |number: usize, target: Rows<&mut [f32]>| {
            let (start, count) = panels.of(number);
            let right = Rows { data: &data[start..], stride: columns };
            by_blocks(target, left, right, Size { rows, columns: count }, start_of(start, count));
        };
        if alone {
            for number in 0..panels.count() {
                let start = panels.of(number).0;
                work(number, Rows { data: &mut target[start..], stride: columns });
            }
        } else {
            by_panels(target, panels, rows, work);
        }
        return;
    }
    with_panels(right, [depth, columns], |right| {
        let at_once = if alone { rows } else { rows_of_task(depth * columns).min(AT_ONCE) };
        parallel::chunks(target, at_once * columns, |task, target| {
            let rows = target.len() / columns;
            let left = Rows { data: &left.data[task * at_once * depth..], ..left };
            for number in 0..panels.count() {
                let (start, count) = panels.of(number);
                let target = Rows { data: &mut target[start..], stride: columns };
                let (size, start) = (Size { rows, columns: count }, start_of(start, count));
                add_panel::<false>(target, left, right.panel(number), size, start);
            }
        });
    });
}

/// `target = start + left · right`, where the rows of `right` are put in order while they are used.
#[expect(clippy::needless_pass_by_value, reason = "a slice and its stride go together")]
fn by_blocks(
    target: Rows<&mut [f32]>,
    left: Rows<&[f32]>,
    right: Rows<&[f32]>,
    size: Size,
    first: Start<'_>,
) {
    let (depth, width) = (left.stride, size.columns.next_multiple_of(LANES));
    with_aligned(DEPTH * width, |block| {
        for start in (0..depth).step_by(DEPTH) {
            let block = &mut block[..DEPTH.min(depth - start) * width];
            copy(&right.data[start * right.stride..], right.stride, size.columns, block, width);
            let left = Rows { data: &left.data[start..], ..left };
            let target = Rows { data: &mut *target.data, ..target };
            let first = if start > 0 { Start::Target } else { first };
            add_panel::<false>(target, left, block, size, first);
        }
    });
}

/// A task for each panel of columns: `work` writes the rows of one.
fn by_panels(target: &mut [f32], panels: Panels, rows: usize, work: impl Fn(usize, Rows<&mut [f32]>) + Sync) {
    let size = rows * panels.width;
    scratch::with(panels.count() * size, |parts| {
        parallel::chunks(parts, size, |number, part| {
            work(number, Rows { data: part, stride: panels.width });
        });
        for (number, part) in parts.chunks_exact(size).enumerate() {
            let (start, count) = panels.of(number);
            let rows = target.chunks_exact_mut(panels.columns).zip(part.chunks_exact(panels.width));
            rows.for_each(|(row, part)| row[start..start + count].copy_from_slice(&part[..count]));
        }
    });
}

impl Dense {
    fn check(&self, rows: usize, x: usize, weight: usize, y: usize) {
        let sizes = (rows * self.inputs, self.inputs * self.units, rows * self.units);
        assert!((x, weight, y) == sizes, "{:?} numbers, of so many rows {sizes:?}", (x, weight, y));
    }

    /// `y = x W + b`.
    pub fn forward(&self, rows: usize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.check(rows, x.len(), weight.len(), y.len());
        if self.units <= FEW {
            let at_once = rows_of_task(self.inputs * self.units);
            return parallel::chunks(y, at_once * self.units, |task, y| {
                let x = &x[task * at_once * self.inputs..][..y.len() / self.units * self.inputs];
                narrow::forward(self.inputs, self.units, x, weight, bias, y);
            });
        }
        if self.units <= vector::UNITS {
            return with_panels(Right::Plain(weight), [self.inputs, self.units], |right| {
                let at_once = rows_of_task(self.inputs * self.units);
                parallel::chunks(y, at_once * self.units, |task, y| {
                    let x = &x[task * at_once * self.inputs..][..y.len() / self.units * self.inputs];
                    vector::forward(self.inputs, self.units, x, right.panel(0), bias, y);
                });
            });
        }
        product(y, x, Right::Plain(weight), [rows, self.inputs, self.units], bias);
    }

    /// What is wanted of the gradients for `x`, `W` and `b`, all written: `dx = dy Wᵀ`, `dW = xᵀ dy`, and `db`
    /// the sums of the rows of `dy`. `x` is needed only for `dW`, and `W` for `dx`; else they may be empty.
    #[expect(clippy::too_many_arguments, reason = "each is what it is")]
    pub fn backward(
        &self,
        rows: usize,
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        dweight: Option<&mut [f32]>,
        dbias: Option<&mut [f32]>,
    ) {
        if let Some(dx) = dx {
            self.check(rows, dx.len(), weight.len(), dy.len());
            self.backward_of_input(rows, weight, dy, dx);
        }
        if let Some(dweight) = dweight {
            self.check(rows, x.len(), dweight.len(), dy.len());
            self.backward_of_weight(rows, x, dy, dweight);
        }
        if let Some(dbias) = dbias {
            assert!(dy.len() == rows * self.units && dbias.len() == self.units, "gradients of the units");
            columns::sum_of_rows(rows, dy, dbias);
        }
    }

    fn backward_of_input(&self, rows: usize, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (inputs, units) = (self.inputs, self.units);
        if units <= FEW {
            let at_once = rows_of_task(inputs * units);
            return parallel::chunks(dx, at_once * inputs, |task, dx| {
                let dy = &dy[task * at_once * units..][..dx.len() / inputs * units];
                narrow::backward_of_input(inputs, units, weight, dy, dx);
            });
        }
        // Either the weights are transposed, or dy is and so is the result. The sums are the same.
        if inputs * units <= rows * (inputs + units) {
            return product(dx, dy, Right::Transposed(weight), [rows, units, inputs], None);
        }
        let padded = rows.next_multiple_of(LANES);
        scratch::with(inputs * padded, |transposed| {
            with_panels(Right::Transposed(dy), [units, rows], |right| {
                let at_once = inputs_of_task(rows * units);
                parallel::chunks(transposed, at_once * padded, |task, target| {
                    let size = target.len() / padded;
                    let left = Rows { data: &weight[task * at_once * units..], stride: units };
                    for number in 0..right.panels.count() {
                        let (start, count) = right.panels.of(number);
                        let target = Rows { data: &mut target[start..], stride: padded };
                        let size = Size { rows: size, columns: count };
                        add_panel::<false>(target, left, right.panel(number), size, Start::Zero);
                    }
                });
            });
            let transposed = &*transposed;
            parallel::chunks(dx, LANES * inputs, |task, dx| {
                let (start, count) = (task * LANES, dx.len() / inputs);
                vectorized(
                    #[inline(always)]
                    || gather(&transposed[start..], padded, dx, count),
                );
            });
        });
    }

    fn backward_of_weight(&self, rows: usize, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
        let (inputs, units) = (self.inputs, self.units);
        if units <= FEW {
            let at_once = inputs_of_task(rows * units);
            return parallel::chunks(dweight, at_once * units, |task, dweight| {
                narrow::backward_of_weight(inputs, units, task * at_once, x, dy, dweight);
            });
        }
        with_panels(Right::Plain(dy), [rows, units], |right| {
            let at_once = inputs_of_task(rows * units);
            parallel::chunks(dweight, at_once * units, |task, target| {
                if units <= vector::UNITS {
                    let first = task * at_once;
                    return vector::backward_of_weight(inputs, units, first, x, right.panel(0), target);
                }
                let size = target.len() / units;
                let left = Rows { data: &x[(task * at_once).min(x.len())..], stride: inputs };
                for number in 0..right.panels.count() {
                    let (start, count) = right.panels.of(number);
                    let target = Rows { data: &mut target[start..], stride: units };
                    add_panel::<true>(
                        target,
                        left,
                        right.panel(number),
                        Size { rows: size, columns: count },
                        Start::Zero,
                    );
                }
            });
        });
    }
}

/// How many rows are a task, where each costs so many products.
fn rows_of_task(each: usize) -> usize {
    (WORTH_A_TASK / each.max(1)).next_multiple_of(ROWS).max(ROWS)
}

/// How many inputs are a task, where each costs so many products.
fn inputs_of_task(each: usize) -> usize {
    (WORTH_A_TASK / each.max(1)).next_multiple_of(24).max(24)
}
