/* SPDX-License-Identifier: Apache-2.0
 * The door to libyaml: a YAML run file becomes the same tree as JSON. Aliases, tags and several documents
 * are refused; scalars are typed as YAML 1.2 core does (true/false/null/int/float, else string). */
#ifndef ADA_IO_YAML_H
#define ADA_IO_YAML_H
#include "io/json.h"
ada_status ada_yaml_open(ada_json **j, const char *path) ADA_MUST_USE; /* EFORMAT as path:line:column */
#endif
