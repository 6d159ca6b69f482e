/* SPDX-License-Identifier: Apache-2.0
 * One ISA: vec.h and every k_*.h under one name. */
