/**
 * The reader of YAML texts under a schema that machine files use: experiment files tell mistakes in
 * the same way. It loads yaml and zod, so only files that are themselves loaded late import this.
 */
export {
  closedObject,
  closestWord,
  type FieldPath,
  type FileProblem,
  throwProblems,
  withRemedy,
  YamlFile,
} from '../hw/yamlReader.ts';
