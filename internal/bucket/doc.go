// Package bucket is the dataset in an object store: s3://, gs:// and az://
// URLs where a folder's path would be.
//
// [NewWriter] and [Local] take either. A writer puts whole files, in the order
// that [dataset.Bucket] and docs/dataset.md describe; who reads has the files
// brought into a local cache. The stores' SDKs are linked into programs that
// import this package, and nowhere else.
package bucket
