//! Blocks of neighbouring channels as vectors, and sums over rows.

#![allow(clippy::inline_always, reason = "vector instructions end at calls")]

use std::ops::Range;

use crate::simd::vectorized;
use crate::{parallel, scratch};

/// Does `$work::<N>($argument, …)` for blocks of `N` channels from `$channel` on, which are 16, then 4,
/// then 1.
macro_rules! in_blocks {
    ($channels:expr, |$channel:ident| $($function:ident).+ ($($argument:expr),* $(,)?)) => {
        let mut $channel = 0;
        $crate::columns::in_blocks!(@ $channels, 16, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 4, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 1, $channel, $($function).+, ($($argument),*));
    };
    (@ $channels:expr, $n:literal, $channel:ident, $($function:ident).+, $arguments:tt) => {
        while $channels - $channel >= $n {
            $($function).+::<$n> $arguments;
            $channel += $n;
        }
    };
}

/// As `in_blocks`, from 32 on: for loops over rows, which wait less for memory then.
macro_rules! in_wide_blocks {
    ($channels:expr, |$channel:ident| $($function:ident).+ ($($argument:expr),* $(,)?)) => {
        let mut $channel = 0;
        $crate::columns::in_blocks!(@ $channels, 32, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 16, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 4, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 2, $channel, $($function).+, ($($argument),*));
        $crate::columns::in_blocks!(@ $channels, 1, $channel, $($function).+, ($($argument),*));
    };
}
pub(crate) use {in_blocks, in_wide_blocks};

/// `N` numbers of a slice from an index on.
#[inline(always)]
pub(crate) fn block<const N: usize, T: Copy>(data: &[T], at: usize) -> [T; N] {
    *data[at..].first_chunk().expect("a block is within the channels")
}

/// The same, to be written.
#[inline(always)]
pub(crate) fn block_mut<const N: usize, T>(data: &mut [T], at: usize) -> &mut [T; N] {
    data[at..].first_chunk_mut().expect("a block is within the channels")
}

/// Rows that are added before their sum is added to that of others, which loses less to rounding.
pub(crate) const GROUP: usize = 64;

/// How many numbers are worth a task of their own, where a number costs little more than its memory.
pub(crate) const TASK: usize = 32_768;

/// How many rows of so many numbers are a task.
pub(crate) fn rows_of_task(row: usize) -> usize {
    (TASK / row.max(1)).max(1)
}

/// `[rows, channels]` cut into tasks for sums over the rows.
#[derive(Debug, Clone, Copy)]
struct Cut {
    rows: usize,
    channels: usize,
    /// Rows and channels of a task.
    task: [usize; 2],
}

impl Cut {
    fn new(rows: usize, channels: usize) -> Self {
        let wide = (TASK / rows.max(1)).next_multiple_of(TOGETHER).max(2 * TOGETHER).min(channels).max(1);
        Self { rows, channels, task: [(TASK / wide).max(1), wide] }
    }

    /// How many tasks there are above and beside each other.
    fn tasks(&self) -> [usize; 2] {
        [self.rows.div_ceil(self.task[0]), self.channels.div_ceil(self.task[1])]
    }
}

/// Channels whose parts are put together at once.
const TOGETHER: usize = 128;

/// Two results of each channel over `[rows, channels]`.
///
/// `part` writes both for a range of the rows and one of the channels, on some thread. Then `join` adds the
/// parts, in the order of the rows, to results of 64 bits that begin as 0: it is given the results, a part
/// and the numbers of rows of both. `end` gets the results, for a range of channels at a time.
pub(crate) fn over_rows(
    [rows, channels]: [usize; 2],
    part: impl Fn(Range<usize>, Range<usize>, &mut [f32], &mut [f32]) + Sync,
    join: impl Fn([&mut [f64]; 2], [&[f32]; 2], [usize; 2]),
    mut end: impl FnMut(Range<usize>, [&[f64]; 2]),
) {
    let cut = Cut::new(rows, channels);
    let ([down, right], [high, wide]) = (cut.tasks(), cut.task);
    let rows_of = |number: usize| number * high..((number + 1) * high).min(rows);
    scratch::with(down * right * 2 * wide, |parts| {
        parallel::chunks(parts, 2 * wide, |number, both| {
            let (first, second) = both.split_at_mut(wide);
            let start = number / down * wide;
            let count = wide.min(channels - start);
            let (first, second) = (&mut first[..count], &mut second[..count]);
            part(rows_of(number % down), start..start + count, first, second);
        });
        for channel in (0..channels).step_by(TOGETHER.min(wide)) {
            // Tasks end where a group does.
            let (task, inside) = (channel / wide, channel % wide);
            let count = TOGETHER.min(wide - inside).min(channels - channel);
            let (mut a, mut b) = ([0.0; TOGETHER], [0.0; TOGETHER]);
            let (a, b) = (&mut a[..count], &mut b[..count]);
            for number in 0..down {
                let both = &parts[(task * down + number) * 2 * wide..][..2 * wide];
                let (first, second) = (&both[inside..][..count], &both[wide + inside..][..count]);
                let rows = rows_of(number);
                join([a, b], [first, second], [rows.start, rows.len()]);
            }
            end(channel..channel + count, [a, b]);
        }
    });
}

/// Adds the results of a part.
#[inline(always)]
pub(crate) fn add([a, b]: [&mut [f64]; 2], [part_a, part_b]: [&[f32]; 2], _: [usize; 2]) {
    a.iter_mut().zip(part_a).for_each(|(sum, &part)| *sum += f64::from(part));
    b.iter_mut().zip(part_b).for_each(|(sum, &part)| *sum += f64::from(part));
}

/// `target = results`, to 32 bits.
pub(crate) fn store(results: &[f64], target: &mut [f32]) {
    target.iter_mut().zip(results).for_each(|(target, &result)| *target = result as f32);
}

/// `y = ` the sums of the columns of `[rows, columns]`.
pub(crate) fn sum_of_rows(rows: usize, x: &[f32], y: &mut [f32]) {
    let channels = y.len();
    if rows <= GROUP && rows * channels <= TASK {
        // One part and one group: the sums are the result.
        return vectorized(
            #[inline(always)]
            || {
                in_wide_blocks!(channels, |to| sum_part(x, channels, [to, to], y));
            },
        );
    }
    over_rows(
        [rows, channels],
        |part, range, sums, _| {
            let x = &x[part.start * channels..part.end * channels];
            vectorized(
                #[inline(always)]
                || {
                    let (at, count) = (range.start, sums.len());
                    in_wide_blocks!(count, |to| sum_part(x, channels, [at + to, to], sums));
                },
            );
        },
        |[a, _], [part, _], _| {
            a.iter_mut().zip(part).for_each(|(sum, &part)| *sum += f64::from(part));
        },
        |range, [sums, _]| store(sums, &mut y[range]),
    );
}

#[inline(always)]
fn sum_part<const N: usize>(x: &[f32], channels: usize, [at, to]: [usize; 2], sums: &mut [f32]) {
    *block_mut(sums, to) = sum_of_block::<N>(x, channels, at);
}

/// The sums of neighbouring channels from `at` on, group by group.
#[inline(always)]
pub(crate) fn sum_of_block<const N: usize>(x: &[f32], channels: usize, at: usize) -> [f32; N] {
    let mut total = [0.0; N];
    for group in x.chunks(GROUP * channels) {
        let mut sum = [0.0; N];
        for row in group.chunks_exact(channels) {
            let x: [f32; N] = block(row, at);
            for lane in 0..N {
                sum[lane] += x[lane];
            }
        }
        for lane in 0..N {
            total[lane] += sum[lane];
        }
    }
    total
}
