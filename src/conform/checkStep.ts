/**
 * Whether a step is written as the case format says. A misspelt verb, field or flag is wrong
 * input and is told with its place and the name that was probably meant: a case that is skipped or
 * compares nothing must not look like one that the model agrees with.
 */
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import type { Json, Step } from './caseFile.ts';
import { formOf, LOOK_FORMS, type StepForm, VERB_FORMS } from './caseFormat.ts';

/** Errors: UserError at `place` about the first thing that is wrong. */
export function checkStep(step: Step, place: string): void {
  const forms = step.kind === 'do' ? VERB_FORMS : LOOK_FORMS;
  const form = forms.get(step.name);
  if (form === undefined) throw unknownStep(step, place);
  for (const [field, value] of Object.entries(step.fields)) {
    checkInput(step.name, field, value, form, place);
  }
  for (const [field, isRequired] of form.inputs) {
    if (isRequired && !(field in step.fields)) {
      throw new UserError(place, `${step.name}: ${field} is missing`, wanted(step.name, field));
    }
  }
  for (const field of Object.keys(step.expect ?? {})) {
    if (form.outputs.has(field)) continue;
    const problem = `${step.name}: unknown field ${field} in expect`;
    throw new UserError(place, problem, suggestion(field, [...form.outputs]));
  }
  for (const field of step.approx) {
    if (step.expect !== null && field in step.expect) continue;
    const problem = `approx names ${field}, which is not in expect`;
    throw new UserError(place, problem, suggestion(field, Object.keys(step.expect ?? {})));
  }
}

function unknownStep(step: Step, place: string): UserError {
  const [here, there, kind, otherKind] =
    step.kind === 'do'
      ? ([VERB_FORMS, LOOK_FORMS, 'verb', 'look'] as const)
      : ([LOOK_FORMS, VERB_FORMS, 'look', 'do'] as const);
  const problem = `unknown ${kind} ${step.name}`;
  if (there.has(step.name)) {
    return new UserError(place, problem, `write "${otherKind}": "${step.name}"`);
  }
  return new UserError(place, problem, suggestion(step.name, [...here.keys()]));
}

function checkInput(name: string, field: string, value: Json, form: StepForm, place: string): void {
  if (!form.inputs.has(field)) {
    const problem = `${name}: unknown field ${field}`;
    const known = [...form.inputs.keys(), 'by', 'expect', 'approx'];
    throw new UserError(place, problem, suggestion(field, known));
  }
  const { fits, known } = formOf(name, field);
  if (fits(value)) return;
  const written = JSON.stringify(value);
  const words = (Array.isArray(value) ? value : [value]).map(String);
  const wrong = words.find((word) => known !== undefined && !known.includes(word));
  const plain = wanted(name, field);
  const remedy = wrong === undefined ? plain : suggestion(wrong, known!, plain);
  throw new UserError(place, `${name}: ${field} is ${written}`, remedy);
}

function wanted(name: string, field: string): string {
  return `wanted ${formOf(name, field).wanted}`;
}
